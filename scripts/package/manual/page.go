package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
)

// page is one manual page of section 8.
type page struct {
	name    string // droptrace-read
	about   string // the line of its NAME section
	usage   string
	text    string // the description, as --help prints it
	flags   []cli.Flag
	related []string // pages of ours that it names
}

// pages are that of the program and one for each command.
func pages(app *cli.App) []page {
	main := page{name: app.Name, about: app.Usage, usage: app.UsageText, text: app.Description, flags: app.Flags}
	list := []page{main}
	for _, c := range app.Commands {
		list[0].related = append(list[0].related, app.Name+"-"+c.Name)
		list = append(list, page{
			name: app.Name + "-" + c.Name, about: c.Usage, usage: c.UsageText, text: c.Description, flags: c.Flags,
			related: []string{app.Name},
		})
	}
	return list
}

// roff is the page in the man macros, for groff and mandoc.
func (p page) roff(version string, date time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 8 %s %s \"System administration\"\n",
		strings.ToUpper(escape(p.name)), date.UTC().Format(time.DateOnly), quote("droptrace "+version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escape(p.name), escape(p.about))
	b.WriteString(".SH SYNOPSIS\n.nf\n")
	for line := range strings.Lines(p.usage) {
		b.WriteString(protect(escape(strings.TrimSpace(line))) + "\n")
	}
	b.WriteString(".fi\n.SH DESCRIPTION\n")
	text, codes := exitCodes(p.text)
	describe(&b, text)
	b.WriteString(".SH OPTIONS\n")
	options(&b, p.flags)
	if len(codes) > 0 {
		b.WriteString(".SH \"EXIT STATUS\"\n")
	}
	for _, c := range codes {
		code, meaning, _ := strings.Cut(c, " ")
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", escape(code), protect(escape(meaning)))
	}
	b.WriteString(".SH \"SEE ALSO\"\n")
	for _, r := range append(p.related, "nft", "iptables", "tcpdump") {
		fmt.Fprintf(&b, ".BR %s (8),\n", escape(r))
	}
	b.WriteString(".BR pcap\\-filter (7)\n")
	return b.String()
}

// describe turns the description's paragraphs into the page's. Lines that are indented
// are examples and stay as they are.
func describe(b *strings.Builder, text string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		example := strings.HasPrefix(paragraph, "    ")
		switch {
		case example:
			b.WriteString(".PP\n.RS 4\n.nf\n")
		case i > 0:
			b.WriteString(".PP\n")
		}
		for line := range strings.Lines(paragraph) {
			line = strings.TrimSuffix(line, "\n")
			if example {
				line = strings.TrimPrefix(line, "    ")
			}
			b.WriteString(protect(escape(line)) + "\n")
		}
		if example {
			b.WriteString(".fi\n.RE\n")
		}
	}
}

// options lists the flags under the headings of --help.
func options(b *strings.Builder, flags []cli.Flag) {
	category := ""
	for _, f := range console.Describe(flags) {
		if f.Category != category {
			category = f.Category
			if category != "" {
				fmt.Fprintf(b, ".SS %s\n", quote(strings.TrimSuffix(category, ":")))
			}
		}
		b.WriteString(".TP\n")
		if f.Short != "" {
			b.WriteString(`\fB` + escape("-"+f.Short) + `\fR, `)
		}
		b.WriteString(`\fB` + escape(console.Dashed(f.Name)) + `\fR`)
		if f.Value != "" {
			b.WriteString(` \fI` + escape(f.Value) + `\fR`)
		}
		b.WriteString("\n" + protect(escape(f.Usage)) + "\n")
	}
}

// exitCodes takes the last paragraph away where it lists exit codes:
// "Exit codes: 0 ended as asked, 1 failed."
func exitCodes(text string) (rest string, codes []string) {
	const heading = "\nExit codes: "
	i := strings.LastIndex(text, heading)
	if i < 0 {
		return text, nil
	}
	list := strings.TrimSuffix(strings.Join(strings.Fields(text[i+len(heading):]), " "), ".")
	next := regexp.MustCompile(`, \d+ `)
	for at := next.FindStringIndex(list); at != nil; at = next.FindStringIndex(list) {
		codes = append(codes, list[:at[0]])
		list = list[at[0]+2:]
	}
	return text[:i], append(codes, list)
}

// escape writes text so that roff prints it as it is: a dash that can be copied,
// a backslash, and what is not ASCII by its number.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '\'':
			b.WriteString(`\(aq`)
		case r > 0x7e:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// protect keeps a line that begins with a dot from being a request.
func protect(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

// quote is one argument of a macro.
func quote(text string) string { return `"` + strings.ReplaceAll(escape(text), `"`, `\(dq`) + `"` }
