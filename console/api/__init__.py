"""The address book over HTTP, for programs: a process of its own that only reads (`entra-sms serve`).

`app` puts it together, `server` runs it, `reading` says who may read what. Each kind of thing has a module with its
shapes, its parameters and its routes; all of them read with `console.reads`, as the commands do.
"""
