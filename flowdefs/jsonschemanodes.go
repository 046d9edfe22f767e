package flowdefs

// nodes writes the definitions of everything that stands in lists of steps.
func (w *schemaWriter) nodes() error {
	kinds, err := w.stepTypes()
	if err != nil {
		return err
	}
	w.definitions[w.name("step-types")] = object7{"allOf": kinds}
	var nodes []any
	for _, form := range w.commands() {
		nodes = append(nodes, form)
	}
	w.definitions[w.name("node")] = object7{"anyOf": append(w.asking(inSequence), nodes...)}
	w.definitions[w.name("option")] = object7{"anyOf": append(w.asking(inOptions), w.group(inOptions))}
	w.definitions[w.name("otherwise")] = object7{"anyOf": append(w.asking(inOtherwise), w.group(inOtherwise))}
	w.definitions[w.name("steps")] = some(list7(w.ref("node")))
	return nil
}

// stepTypes says for each step type what its steps can be configured with and left by.
func (w *schemaWriter) stepTypes() ([]any, error) {
	var out []any
	exits := &flowReader{loader: &loader{cat: w.cat}}
	for _, name := range w.cat.Names() {
		info, ok := w.cat.Describe(name)
		if !ok {
			continue
		}
		with, required := object7{"type": "object", "maxProperties": 0}, []string{}
		if info.Config != nil {
			var err error
			if with, err = w.embedded(info); err != nil {
				return nil, err
			}
			if needed, ok := with["required"].([]any); ok && len(needed) > 0 {
				required = append(required, "with")
			}
		}
		on := object7{}
		for _, exit := range exits.stepExits(&Node{Type: name, Timeout: 1}) {
			on[exit] = w.value(text7())
		}
		own := object7{"with": with, "on": object7{"properties": on, "additionalProperties": false}}
		if !info.Sends {
			own["resend"] = false
		}
		out = append(out, object7{
			"if":   object7{"required": []string{"type"}, "properties": object7{"type": object7{"const": name}}},
			"then": object7{"required": required, "properties": own},
		})
	}
	return append(out, object7{ // a step without a timeout does not time out
		"if":   object7{"not": object7{"required": []string{exitTimeout}}},
		"then": object7{"properties": object7{"on": object7{"not": object7{"required": []string{exitTimeout}}}}},
	}), nil
}

// head is what nodes with an id have in common, and what is theirs.
func (w *schemaWriter) head(s spot, own object7) object7 {
	own["id"] = w.value(formed(nameForm.String()))
	if s != inOtherwise {
		own["if"] = w.value(expression7("Whether it is there."))
	}
	return own
}

func (w *schemaWriter) on(exit object7) object7 {
	return object7{
		"type": "object", "minProperties": 1, "propertyNames": exit, "additionalProperties": w.value(text7()),
		"description": "Exits, and the handlers that they lead to.",
	}
}

func (w *schemaWriter) words(doc string) object7 {
	return w.value(documented(set7(w.value(formed(wordForm.String()))), doc))
}

// asking are the nodes that may stand anywhere: steps and choices.
func (w *schemaWriter) asking(s spot) []any {
	var types []any
	for _, name := range w.cat.Names() {
		info, _ := w.cat.Describe(name)
		types = append(types, object7{"const": name, "description": title(info.Doc)})
	}
	step := w.head(s, object7{
		"type":     w.value(object7{"anyOf": types}),
		"with":     object7{"type": "object", "description": "The configuration of the step."},
		"attempts": closed(object7{"max": w.value(between(1, maxAttempts))}, "max"),
		"timeout":  w.value(length()),
		"resend":   closed(object7{"max": w.value(between(0, maxResend)), "every": w.value(length())}, "max"),
		"on":       w.on(object7{}),
		"settles":  w.words("Obligations that its completion settles."),
	})
	if s == inSequence {
		step["activate"] = w.value(documented(boolean7(), "Whether it runs only if the client asks for it."))
	}
	options := some(list7(w.ref("option")))
	choose := w.head(s, object7{"choose": options, "otherwise": w.ref("otherwise"), "on": w.on(object7{"pattern": wordForm.String()})})
	several := w.head(s, object7{
		"any":       closed(object7{"of": w.value(between(1, maxAttempts)), "options": options}, "of", "options"),
		"otherwise": w.ref("otherwise"), "on": w.on(object7{"pattern": wordForm.String()}),
	})
	asking := closed(step, "id", "type")
	asking["allOf"] = []any{w.ref("step-types")}
	return []any{
		documented(asking, "A step: a type of the catalogue and its configuration."),
		documented(closed(choose, "id", "choose"), "The client picks one of the options offered."),
		documented(closed(several, "id", "any"), "So many of the options have to be completed."),
	}
}

// group is an option of several steps; the first must ask for something.
func (w *schemaWriter) group(s spot) object7 {
	var first []any
	for _, key := range []string{"type", "choose", "any", "use"} {
		first = append(first, object7{"required": []string{key}})
	}
	steps := object7{"allOf": []any{w.ref("steps"), object7{"items": []any{object7{"anyOf": first}}}}}
	return documented(closed(w.head(s, object7{"steps": steps}), "id", "steps"), "An option of several steps.")
}

// commands are the nodes that ask for nothing and stand in sequences alone.
func (w *schemaWriter) commands() []object7 {
	word := func() object7 { return w.value(formed(wordForm.String())) }
	condition := func() object7 { return w.value(expression7("Whether it is done.")) }
	tag := closed(object7{
		"set": w.words("Tags."), "remove": w.words("Tags."), "for": w.value(documented(length(), "Life of what is set.")),
	})
	tag["anyOf"] = []any{
		object7{"required": []string{"set"}, "properties": object7{"set": object7{"minItems": 1}}},
		object7{"required": []string{"remove"}, "properties": object7{"remove": object7{"minItems": 1}}},
	}
	values := object7{
		"type": "object", "minProperties": 1, "propertyNames": object7{"pattern": wordForm.String()},
		"additionalProperties": w.value(expression7("A string.")),
	}
	exits := w.on(object7{"pattern": wordForm.String()})
	argument := object7{"anyOf": []any{text7(), object7{"type": "integer"}, boolean7()}}
	return []object7{
		documented(closed(object7{"require": w.value(expression7("What must be so."))}, "require"), "A guard: false or an error fails the run."),
		documented(closed(object7{
			"goto": w.value(text7()), "max": w.value(between(1, maxJumps)), "counts": w.value(boolean7()), "if": condition(),
		}, "goto", "max"), "Goes on at another step, so many times at most."),
		documented(closed(object7{"fail": word(), "if": condition()}, "fail"), "Fails the run with a code."),
		documented(closed(object7{"abort": w.value(object7{"const": true}), "if": condition()}, "abort"), "Ends the run as if the client had cancelled it."),
		documented(closed(object7{"tag": tag, "if": condition()}, "tag"), "Sets and removes tags."),
		documented(closed(object7{"oblige": word(), "if": condition()}, "oblige"), "Raises an obligation that a later step must settle."),
		documented(closed(w.head(inSequence, object7{"decide": w.value(expression7("The exit.")), "on": exits}), "id", "decide", "on"), "Leaves by the exit that an expression names."),
		documented(closed(object7{"assign": values, "if": condition()}, "assign"), "Sets values that later expressions read."),
		documented(closed(w.head(inSequence, object7{"delay": w.value(length())}), "id", "delay"), "Lets time pass."),
		documented(closed(object7{
			"id": w.value(formed(nameForm.String())), "use": w.value(text7()), "with": object7{"type": "object", "additionalProperties": w.value(argument)},
		}, "id", "use"), "The steps of a subflow."),
	}
}
