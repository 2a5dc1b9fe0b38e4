package recording

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// strftime writes t into a file's name as the C function does in the C locale.
// What CheckPattern has refused stays as it is.
func strftime(pattern string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' || i+1 == len(pattern) {
			b.WriteByte(pattern[i])
			continue
		}
		i++
		text, ok := conversion(pattern[i], t)
		if !ok {
			text = pattern[i-1 : i+1]
		}
		b.WriteString(text)
	}
	return b.String()
}

// CheckPattern refuses a name with a conversion that is not known.
func CheckPattern(pattern string) error {
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			continue
		}
		if i++; i == len(pattern) {
			return fmt.Errorf("%q ends with %%: a per cent sign is written %%%%", pattern)
		}
		if _, ok := conversion(pattern[i], time.Time{}); !ok {
			return fmt.Errorf("%q has %%%c, which is no part of a time that is known here: %%Y %%m %%d %%H %%M %%S %%s are", pattern, pattern[i])
		}
	}
	return nil
}

func conversion(c byte, t time.Time) (text string, ok bool) {
	switch c {
	case '%':
		return "%", true
	case 'j':
		return fmt.Sprintf("%03d", t.YearDay()), true
	case 's':
		return strconv.FormatInt(t.Unix(), 10), true
	case 'u':
		return strconv.Itoa((int(t.Weekday())+6)%7 + 1), true
	case 'w':
		return strconv.Itoa(int(t.Weekday())), true
	case 'C':
		return fmt.Sprintf("%02d", t.Year()/100), true
	case 'V':
		_, week := t.ISOWeek()
		return fmt.Sprintf("%02d", week), true
	case 'G':
		year, _ := t.ISOWeek()
		return strconv.Itoa(year), true
	}
	layouts := map[byte]string{
		'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05",
		'p': "PM", 'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January",
		'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", 'z': "-0700", 'Z': "MST",
	}
	layout, ok := layouts[c]
	return t.Format(layout), ok
}
