// Package webui is the pages that clients hand over to: one prompt of a run, drawn
// in the browser from the schema of its answer, for an app that cannot draw it.
//
//	GET  /handover/{link}   who asks for this; changes nothing
//	POST /handover/{link}   spends the link, sets the cookie
//	GET  /handover          the prompt
//	POST /handover          keeps what was typed; back to the client's redirect URI
//
// It is also where links lead that were sent to somebody, who says there whether
// they have asked for it:
//
//	GET  /link/{link}       who asks for what; changes nothing
//	POST /link/{link}       confirms, and shows a code for the app; or denies
//
// A page completes nothing: the step gets what was typed from the client, with the
// run's handle and key (see flows.CodeHandover). So what has to be kept from
// happening here is little, and it is: a link is good once; the page of another
// browser needs its cookie; a form needs the token of its page and its turn, and
// comes from this origin; nothing is cached, framed, scripted or told to others
// by a Referer. Whatever is not right about a link or a cookie, the page says the same.
//
// Pages are HTML without scripts, labelled, in the language of the run.
package webui
