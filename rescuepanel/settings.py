"""Hold every setting; what varies comes from the environment (see environment.py)."""

import secrets
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from . import environment as env
from .logs import logging_settings

BASE_DIR = Path(__file__).resolve().parent.parent

# What kind of run
DEMO = env.flag("DEMO")
DEBUG = env.flag("DEBUG")
DEMO_DIR = Path(env.text("DEMO_DIR", str(BASE_DIR / ".demo")))
SECURE = not (DEMO or DEBUG)

# Secrets: given from outside; only the demo makes its own
SECRET_KEY = env.secret_key(
    env.kept(DEMO_DIR / "secret_key", secrets.token_urlsafe) if DEMO else None
)
ENCRYPTION_KEYS: list[bytes] = env.encryption_keys(
    env.kept(DEMO_DIR / "encryption_key", env.new_key) if DEMO else None
)

# Who may ask
# Health checks come from the machine itself, by its own names.
ALLOWED_HOSTS = [*env.hosts("ALLOWED_HOSTS"), "127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "django_htmx",
    "lucide",
    "teams",
    "instances",
]

MIDDLEWARE = [
    "rescuepanel.middleware.RequestId",
    "rescuepanel.middleware.security_headers",
    "rescuepanel.middleware.Compressed",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "teams.session_cookie.Sessions",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "teams.sessions.Sessions",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "teams.middleware.ActingFor",
]

ROOT_URLCONF = "rescuepanel.urls"
ASGI_APPLICATION = "rescuepanel.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "rescuepanel.context.flags",
            ],
        },
    }
]

# The row is the truth
DATABASES = {
    "default": env.database(f"sqlite:///{DEMO_DIR / 'panel.sqlite3'}" if DEMO or DEBUG else None)
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis only nudges: every use of it survives its absence
REDIS_URL = env.redis_url("redis://127.0.0.1:6379/0" if DEMO or DEBUG else None)
CACHES = {
    "default": {
        "BACKEND": "teams.cache.ForgivingRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "rescuepanel",
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 1},
    },
    # Rows of the list as they were last written, each process its own: 4 kB each.
    "rows": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "rows",
        "TIMEOUT": None,
        "OPTIONS": {"MAX_ENTRIES": 5000},
    },
    # Whole lists, for seconds, while many look at the same: some 200 kB each.
    "lists": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "lists",
        "OPTIONS": {"MAX_ENTRIES": 100},
    },
}

CELERY_BROKER_URL = env.broker_url(REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # With kombu's defaults a killed worker's task may come back 100 s later than it could.
    "visibility_timeout": 60,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 30,
    # Without it a publish on a frozen Redis hangs for ever, the page with it.
    "socket_timeout": 3,
    "socket_connect_timeout": 2,
    "health_check_interval": 5,
}
CELERY_TASK_DEFAULT_QUEUE = "rescuepanel"
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.2,
}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_TIME_LIMIT = 30
CELERY_TASK_SOFT_TIME_LIMIT = 25
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
CELERY_WORKER_MAX_TASKS_PER_CHILD = 2000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "instances.tasks.sweep", "schedule": 5.0, "options": {"expires": 10}},
    "sync-due": {"task": "instances.tasks.sync_due", "schedule": 2.0, "options": {"expires": 4}},
    "deliver-due": {"task": "teams.tasks.deliver_due", "schedule": 3.0, "options": {"expires": 6}},
    "forget-deliveries": {"task": "teams.tasks.forget_deliveries", "schedule": 60 * 60.0},
    "keep-audit-head": {"task": "teams.tasks.keep_audit_head", "schedule": 60 * 60.0},
    "verify-audit": {"task": "teams.tasks.verify_audit", "schedule": 60 * 60.0},
    "clear-sessions": {"task": "rescuepanel.clear_sessions", "schedule": 6 * 60 * 60.0},
    "end-lapsed": {"task": "rescuepanel.end_lapsed", "schedule": 60.0, "options": {"expires": 60}},
    "purge-old": {"task": "rescuepanel.purge_old", "schedule": 24 * 60 * 60.0},
}

# People: sessions live in the database, so that sign-out and disabling end them at once
AUTH_USER_MODEL = "teams.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "teams:sign_in"
LOGIN_REDIRECT_URL = "instances:list"
LOGOUT_REDIRECT_URL = LOGIN_URL
SESSION_ENGINE = "teams.session_store"
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_IDLE = 30 * 60
SESSION_COOKIE_NAME = "__Host-session" if SECURE else "session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = SECURE
CSRF_COOKIE_NAME = "__Host-csrf" if SECURE else "csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = SECURE
LANGUAGE_COOKIE_SECURE = SECURE
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_AGE = 365 * 24 * 60 * 60
# Signing in: by e-mail and password, a second factor, passkeys, another's sign-in (OpenID Connect)
OPEN_SIGN_UP = env.flag("OPEN_SIGN_UP")
ACCOUNT_ADAPTER = "teams.adapter.Adapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "Rescue Panel: "
ACCOUNT_SESSION_REMEMBER = True  # as long as SESSION_COOKIE_AGE says
ACCOUNT_FORMS = {"signup": "teams.sign_up.SignUp"}
MFA_ADAPTER = "teams.adapter.FactorAdapter"
MFA_FORMS = {
    "add_webauthn": "teams.passkeys.AddPasskey",
    "authenticate_webauthn": "teams.passkeys.SecondFactor",
    "reauthenticate_webauthn": "teams.passkeys.Again",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not SECURE
MFA_TOTP_ISSUER = "Rescue Panel"
MFA_TOTP_TOLERANCE = 1
SOCIALACCOUNT_ADAPTER = "teams.adapter.OtherAdapter"
SOCIALACCOUNT_PROVIDERS = env.openid_connect()
SOCIALACCOUNT_EMAIL_AUTHENTICATION = True  # by addresses that the provider verified only
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True

MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# Who may make a team: everybody who signs in, or staff alone
TEAM_CREATION = env.choice("TEAM_CREATION", "everybody", ["everybody", "staff"])

# Staff act for a person this long at most; what is over is kept this many days
IMPERSONATION_MINUTES = env.number("IMPERSONATION_MINUTES", 30, 1, 30)
RETENTION_DAYS = env.number("RETENTION_DAYS", 365, 1, 36500)

# How many of a bulk action may be on their way at once in one cloud account, at most
BATCH_AT_ONCE = env.number("BATCH_AT_ONCE", 20, 1, 200)

# Transport; TLS ends at a proxy that sets X-Forwarded-Proto (see docs/deploying.md)
SECURE_SSL_REDIRECT = SECURE and env.flag("SSL_REDIRECT", default=True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60 if SECURE else 0
# The panel does not speak for the other hosts of its domain: no HSTS for them, no preloading.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
# As many machines as a bulk action may rescue at once, ticked one by one, and what else a form has
DATA_UPLOAD_MAX_NUMBER_FIELDS = 300
# What is uploaded is a credential: kept in memory, or dropped when it is too long to be one
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]

# Where clouds may be: names (none: any), and networks that are not public but permitted
CLOUD_AUTH_HOSTS = [host.lower() for host in env.hosts("CLOUD_AUTH_HOSTS")]
CLOUD_PRIVATE_NETWORKS = env.networks("CLOUD_PRIVATE_NETWORKS", "127.0.0.0/8" if DEMO else "")

# Nova's notifications, where the operator lets us hear them; of which region they tell
NOVA_NOTIFICATIONS_URL = env.amqp_url("NOVA_NOTIFICATIONS_URL")
NOVA_NOTIFICATIONS_REGION = env.text("NOVA_NOTIFICATIONS_REGION", "")

# A cloud whose own names and passwords let people in too
KEYSTONE_SIGN_IN = env.keystone_sign_in(plain_http=bool(CLOUD_PRIVATE_NETWORKS))

# A file outside the database that the audit trail's head is appended to
AUDIT_HEADS = env.text("AUDIT_HEADS", "")

# Images, by id or name, that read the temporary password though nothing on them says so
RESCUE_IMAGES = env.words("RESCUE_IMAGES")

# What is told outside: by which address people reach the panel, where webhooks may lead
PANEL_URL = env.origin("PANEL_URL", ALLOWED_HOSTS, secure=SECURE)
WEBHOOK_PRIVATE_NETWORKS = env.networks("WEBHOOK_PRIVATE_NETWORKS")

# Who may read the figures at /metrics: by address, by a token, or by both; none: nobody
METRICS_NETWORKS = env.networks("METRICS_NETWORKS", "127.0.0.0/8" if DEMO else "")
METRICS_TOKEN = env.metrics_token()

# Languages
USE_I18N = USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGES = [("en", _("English")), ("fr", _("French"))]
LANGUAGE_CODE = env.choice("LANGUAGE_CODE", "en", [code for code, _name in LANGUAGES])
LOCALE_PATHS = [BASE_DIR / "locale"]

# Static files: production serves collectstatic's copy, all else serves them where they lie
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS: list[Any] = [BASE_DIR / "static"] if (BASE_DIR / "static").is_dir() else []
# The terminal's script is npm's, brought by scripts/frontend: without it there is no terminal
XTERM = BASE_DIR / "node_modules" / "@xterm"
TERMINAL_INSTALLED = (XTERM / "xterm/lib/xterm.js").is_file() and (XTERM / "addon-fit/lib").is_dir()
if TERMINAL_INSTALLED:
    _served = {"lib": "xterm/lib", "css": "xterm/css", "fit": "addon-fit/lib"}
    STATICFILES_DIRS += [(f"xterm/{name}", XTERM / path) for name, path in _served.items()]
WHITENOISE_USE_FINDERS = not SECURE
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if SECURE
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

for _mail_name, _mail_value in env.email(
    f"file://{DEMO_DIR.resolve()}/mail" if DEMO else "console:"
).items():
    globals()[_mail_name] = _mail_value

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR"])
LOGGING_CONFIG = "rescuepanel.logs.configure"
LOG_FORMAT = env.choice("LOG_FORMAT", "json", ["json", "text"])
LOGGING = logging_settings(LOG_LEVEL, LOG_FORMAT)

# Errors and spans for others' tools, made harmless first; off unless named
SENTRY_DSN = env.address("SENTRY_DSN")
if SENTRY_DSN:
    from . import reports

    reports.begin(SENTRY_DSN)
TRACES_TO = env.address("OTEL_EXPORTER_OTLP_ENDPOINT")
if TRACES_TO:
    from . import traces

    traces.begin(TRACES_TO)
    MIDDLEWARE.insert(1, "rescuepanel.traces.request_span")
