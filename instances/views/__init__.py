"""Pages and fragments: gate, form, one use case, render. One module a page group."""
