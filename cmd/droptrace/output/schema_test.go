package output

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

func parsedSchema(t *testing.T) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal([]byte(Schema()), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// defs returns the definition that a $ref names.
func deref(root, s map[string]any) map[string]any {
	if ref, ok := s["$ref"].(string); ok {
		return root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	return s
}

// TestSchemaHasEveryField walks the structs and the schema side by side: a
// field that only one of them has fails.
func TestSchemaHasEveryField(t *testing.T) {
	root := parsedSchema(t)
	for name, typ := range map[string]reflect.Type{
		"drop": reflect.TypeFor[drop.Drop](), "folded": reflect.TypeFor[foldedRecord](),
		"loss": reflect.TypeFor[Loss](), "notice": reflect.TypeFor[drop.Notice](),
		"arrivals": reflect.TypeFor[drop.Arrivals](),
		"doctor":   reflect.TypeFor[Examination](), "explanation": reflect.TypeFor[Explanation](),
		"replayed": reflect.TypeFor[ReplayedDrop](), "replayed_summary": reflect.TypeFor[ReplayedSummary](),
		"correlation":       reflect.TypeFor[correlationRecord](),
		"conntrack_failure": reflect.TypeFor[drop.ConntrackFailure](),
		"sample":            reflect.TypeFor[drop.ConntrackSample](),
	} {
		seen := map[reflect.Type]bool{}
		compareObject(t, root, map[string]any{"$ref": "#/$defs/" + name}, typ, name, seen)
	}
}

func compareObject(t *testing.T, root, s map[string]any, typ reflect.Type, path string, seen map[reflect.Type]bool) {
	if seen[typ] {
		return
	}
	seen[typ] = true
	s = deref(root, s)
	properties := s["properties"].(map[string]any)
	var required []string
	names := map[string]bool{}
	for i := range typ.NumField() {
		tag := strings.Split(typ.Field(i).Tag.Get("json"), ",")
		name := tag[0]
		names[name] = true
		if len(tag) == 1 {
			required = append(required, name)
		}
		p, ok := properties[name].(map[string]any)
		if !ok {
			t.Errorf("%s.%s is not in the schema", path, name)
			continue
		}
		compareType(t, root, p, typ.Field(i).Type, path+"."+name, seen)
	}
	for name := range properties {
		if !names[name] {
			t.Errorf("%s.%s is in the schema only", path, name)
		}
	}
	var got []string
	for _, r := range s["required"].([]any) {
		got = append(got, r.(string))
	}
	if !slices.Equal(got, required) {
		t.Errorf("%s requires %v, the struct always prints %v", path, got, required)
	}
}

func compareType(t *testing.T, root, s map[string]any, typ reflect.Type, path string, seen map[reflect.Type]bool) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	want := "object"
	switch kind := typ.Kind(); {
	case typ == reflect.TypeFor[time.Time](), typ.String() == "netip.Addr", kind == reflect.String:
		want = "string"
	case kind == reflect.Bool:
		want = "boolean"
	case kind == reflect.Slice:
		want = "array"
		compareType(t, root, s["items"].(map[string]any), typ.Elem(), path+"[]", seen)
	case kind == reflect.Struct:
		compareObject(t, root, s, typ, path, seen)
	default:
		want = "integer"
	}
	d := deref(root, s)
	got, _ := d["type"].(string)
	if c, ok := d["const"]; ok {
		got = map[bool]string{true: "string", false: "integer"}[reflect.TypeOf(c).Kind() == reflect.String]
	} else if _, ok := d["enum"]; ok {
		got = "string"
	}
	if got != want {
		t.Errorf("%s is %q in the schema, want %q", path, got, want)
	}
}

// validate checks what this schema uses of JSON Schema, and refuses what it
// does not know, fields included.
func validate(root, s map[string]any, v any) error {
	s = deref(root, s)
	for _, keyword := range slices.Sorted(maps.Keys(s)) {
		arg := s[keyword]
		ok := true
		switch keyword {
		case "type":
			ok = typeName(v) == arg || arg == "integer" && typeName(v) == "number" && v.(float64) == float64(int64(v.(float64)))
		case "const":
			ok = v == arg
		case "enum":
			ok = slices.Contains(arg.([]any), v)
		case "minimum":
			ok = v.(float64) >= arg.(float64)
		case "maximum":
			ok = v.(float64) <= arg.(float64)
		case "format":
			_, err := time.Parse(time.RFC3339Nano, v.(string))
			ok = err == nil
		case "required":
			for _, r := range arg.([]any) {
				if _, there := v.(map[string]any)[r.(string)]; !there {
					return fmt.Errorf("%v is missing", r)
				}
			}
		case "items":
			for _, e := range v.([]any) {
				if err := validate(root, arg.(map[string]any), e); err != nil {
					return err
				}
			}
		case "properties":
			for name, e := range v.(map[string]any) {
				p, known := arg.(map[string]any)[name].(map[string]any)
				if !known {
					return fmt.Errorf("%s is unknown", name)
				}
				if err := validate(root, p, e); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		case "description":
		default:
			return fmt.Errorf("keyword %s is unknown to this test", keyword)
		}
		if !ok {
			return fmt.Errorf("%v is not %s %v", v, keyword, arg)
		}
	}
	return nil
}

func typeName(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}

func TestSamplesFollowTheSchema(t *testing.T) {
	root := parsedSchema(t)
	got := lines(t, func(j *JSON) {
		for _, s := range samples() {
			j.Drop(&s.drop)
			j.Folded(Folded{Scope: ScopeFlow, Count: 2, Drop: &s.drop, Last: s.drop.Time})
			j.Folded(Folded{Scope: ScopeRule, Count: 2, Drop: &s.drop, Last: s.drop.Time})
			j.Folded(Folded{Scope: ScopeAll, Count: 2, Drop: &s.drop, Last: s.drop.Time})
		}
		j.Loss(Loss{Time: sampleTime, Lost: 1, Total: 2, Places: []LossPlace{NewLossPlace(&samples()[0].drop, 1)}})
		j.Arrivals(sampleArrivals())
		j.Notice(drop.Notice{Time: sampleTime, Message: "m", Hints: []string{"h"}})
	})
	for _, l := range got {
		var v map[string]any
		if err := json.Unmarshal([]byte(l), &v); err != nil {
			t.Fatal(err)
		}
		if err := validate(root, map[string]any{"$ref": "#/$defs/" + v["type"].(string)}, v); err != nil {
			t.Errorf("%s: %v", l, err)
		}
	}
}
