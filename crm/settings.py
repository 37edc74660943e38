"""Settings, all from the environment (12-factor); the README has the table.

`NAME_FILE` may stand for any secret `NAME`: the file's content is the value.
"""

from pathlib import Path
from urllib.parse import urlsplit

import environ
from celery.schedules import crontab, schedule
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _
from kombu import Exchange, Queue

BASE_DIR = Path(__file__).resolve().parent.parent


class SecretFiles(environ.FileAwareMapping):
    """The environment and the files that it names, without the line break at a file's end, which editors add."""

    def __getitem__(self, key: str) -> str:
        value: str = super().__getitem__(key)
        return value.rstrip("\r\n") if self.env.get(f"{key}_FILE") else value


class Environment(environ.FileAwareEnv):
    """Reads the settings."""

    ENVIRON = SecretFiles()


env = Environment()

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])

# Where Twilio and browsers reach us. Signatures are computed over it, so it is never guessed from a request.
PUBLIC_BASE_URL = env.str("PUBLIC_BASE_URL").rstrip("/")
_public = urlsplit(PUBLIC_BASE_URL)
if _public.scheme not in ("http", "https") or not _public.hostname or _public.path or _public.query:
    raise ImproperlyConfigured("PUBLIC_BASE_URL must be an origin such as https://crm.example.com, without a path.")
_https = _public.scheme == "https"
# Where browsers reach live updates (crm/asgi.py): a path of the same host, or another address of the same site. Empty:
# pages ask every second or ten.
LIVE_URL = env.str("LIVE_URL", default="")
_live = urlsplit(LIVE_URL)
if LIVE_URL and not (_live.path.startswith("/") and _live.scheme in ("", "http", "https") and not _live.query):
    raise ImproperlyConfigured(
        "LIVE_URL must be a path such as /live/, or an address such as https://live.crm.example/."
    )

# `id:base64url(32 bytes)`, comma separated; the first encrypts, all decrypt. See crm/vault.py.
FIELD_ENCRYPTION_KEYS = env.list("FIELD_ENCRYPTION_KEYS")
# Empty: the real Twilio.
TWILIO_API_BASE_URL = env.str("TWILIO_API_BASE_URL", default="").rstrip("/")

INSTALLED_APPS = [
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "calls",
    "integrations",
    "crm",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_filters",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "crm.middleware.MemberMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

SESSION_ENGINE = "crm.sessions"
ROOT_URLCONF = "crm.urls"
WSGI_APPLICATION = "crm.wsgi.application"
TEMPLATES = [
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
                "crm.pages.live_updates",
            ],
        },
    }
]

# The application's role owns nothing and may not bypass row-level security. Migrations run as the owner, under an
# alias of its own that exists only where DATABASE_OWNER_URL is set: `manage.py migrate --database owner`.
DATABASES = {"default": env.db_url("DATABASE_URL")}
DATABASES["default"].update(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True)
DATABASES["default"].setdefault("OPTIONS", {}).update(connect_timeout=5)
DATABASE_OWNER_URL = env.str("DATABASE_OWNER_URL", default="")
if DATABASE_OWNER_URL:
    DATABASES["owner"] = env.db_url_config(DATABASE_OWNER_URL)
    # Tests: the owner makes and migrates the database, the application's role uses it.
    DATABASES["owner"]["TEST"] = {"DEPENDENCIES": []}
    DATABASES["default"]["TEST"] = {"MIRROR": "owner"}
# LISTEN needs a connection that stays the same: past a pooler which lends one for a transaction at a time.
LIVE_DATABASE = env.db_url_config(env.str("DATABASE_DIRECT_URL", default="") or env.str("DATABASE_URL"))
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "crm.User"
LOGIN_URL = LOGOUT_REDIRECT_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
# Passwords, e-mail addresses and second factors are allauth's work; who may have an account, ours: crm/accounts.py.
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_ADAPTER = "crm.accounts.Accounts"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = _public.scheme
# How often one may try, in all processes together: five wrong passwords for an address in five minutes, ten from an IP
# address in one. The README says why the number of proxies must be right.
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key"}
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXIES", default=0)
MFA_ADAPTER = "crm.accounts.SecondFactors"
MFA_TOTP_ISSUER = "Click-to-call CRM"
MFA_TOTP_TOLERANCE = 1
# Whoever has a second factor may change their address: nobody makes an account for somebody else's here.
MFA_ALLOW_UNVERIFIED_EMAIL = True
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "crm_cache",
        # Whoever fills it must not push out the count of their own attempts.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# `consolemail://` prints e-mails; such as smtp+tls://user:password@mail.example.com:587 sends them.
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", default=f"crm@{_public.hostname}")

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("pt-br", _("Brazilian Portuguese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    # Recordings are served by calls/api_recordings.py only, never by a URL of the storage.
    "recordings": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": env.str("RECORDINGS_ROOT", default=str(BASE_DIR / ".data" / "recordings"))},
    },
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "crm.authentication.TokenAuthentication",
        "crm.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["crm.authentication.IsMember"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_standardized_errors.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
DRF_STANDARDIZED_ERRORS = {
    "EXCEPTION_HANDLER_CLASS": "crm.api.ErrorHandler",
    "EXCEPTION_FORMATTER_CLASS": "crm.api.ErrorFormatter",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Click-to-call CRM",
    "DESCRIPTION": "Start calls, read the call log, play recordings. Authenticate with `Authorization: Bearer …`.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": ["drf_standardized_errors.openapi_hooks.postprocess_schema_enums"],
    "ENUM_NAME_OVERRIDES": {
        "PartyEnum": "calls.models.Party",
        "ValidationErrorEnum": "drf_standardized_errors.openapi_serializers.ValidationErrorEnum.choices",
        "ClientErrorEnum": "drf_standardized_errors.openapi_serializers.ClientErrorEnum.choices",
        "ServerErrorEnum": "drf_standardized_errors.openapi_serializers.ServerErrorEnum.choices",
        **{
            f"ErrorCode{status}Enum": f"drf_standardized_errors.openapi_serializers.ErrorCode{status}Enum.choices"
            for status in (401, 403, 404, 405, 406, 415, 429, 500)
        },
        "RoleEnum": "crm.models.Role",
        "ImportStatusEnum": "crm.models.ImportStatus",
        "ImportRuleEnum": "crm.models.ImportRule",
        "ImportColumnEnum": "crm.imports.headings.Column",
        "CallStatusEnum": "calls.models.CallStatus",
        "RecordingStatusEnum": "calls.models.RecordingStatus",
        "LegStatusEnum": "calls.models.LegStatus",
        "JournalSourceEnum": "calls.models.JournalSource",
    },
}

# The broker is a wake-up, not a store: publishing is bounded and never retried (crm/wake.py catches what fails), and a
# message is done with as soon as somebody took it. The next one comes within five seconds, whoever dies.
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY = False
# Seconds, for what hangs although each of its waits is bounded. Not less: a worker does not hear that its tasks ended
# while it waits for a broker that is away, and kills their processes when it is back.
CELERY_TASK_TIME_LIMIT = 600
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_TIMEOUT = 0.5
if CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "socket_timeout": 0.25,
        "socket_connect_timeout": 0.25,
        # A worker that waits for a message notices a broker that says nothing any more after about three seconds.
        "health_check_interval": 1,
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}
# kombu would sleep two seconds and try again, whatever the publisher asks for.
CELERY_BROKER_TRANSPORT_OPTIONS |= {"max_retries": 0}
# Nothing is acknowledged: a wake-up that is lost is followed by another within five seconds. With acknowledgements, one
# that a silent broker did not take held its place for ever, until the worker had no place left and heard nothing more;
# and one that was open when the broker went away ended the worker (docs/faults.md).
CELERY_TASK_QUEUES = [Queue(name, Exchange(name), routing_key=name, no_ack=True) for name in ("celery", "twilio")]
# What waits for Twilio has workers of its own, so that a slow Twilio never delays what is only to be written down; nor
# does an import, which waits for nobody but has a lot to do.
_SLOW = ("calls.look", "calls.audit", "calls.retention", "integrations.verify", "crm.import_contacts")
CELERY_TASK_ROUTES = {name: {"queue": "twilio"} for name in _SLOW}
# How long an organization's audit is kept; a month at least.
AUDIT_DAYS = env.int("AUDIT_DAYS", default=730)
CELERY_BEAT_SCHEDULE = {
    "forget_expired": {"task": "crm.forget_expired", "schedule": crontab(minute=41), "options": {"expires": 3600}},
    "forget_audit": {"task": "crm.forget_audit", "schedule": crontab(hour=6, minute=23), "options": {"expires": 3600}},
    "import": {"task": "crm.import_contacts", "schedule": schedule(5), "options": {"expires": 5}},
    "apply": {"task": "calls.apply", "schedule": schedule(5), "options": {"expires": 5}},
    "look": {"task": "calls.look", "schedule": schedule(5), "options": {"expires": 5}},
    "retention": {"task": "calls.retention", "schedule": schedule(600), "options": {"expires": 600}},
    "verify": {"task": "integrations.verify", "schedule": schedule(60), "options": {"expires": 60}},
    # UTC: night from Chile to Brazil, and the end of the evening in North America.
    "audit": {"task": "calls.audit", "schedule": crontab(hour=5, minute=17), "options": {"expires": 3600}},
}

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = False  # the proxy's work; health checks and callbacks come through it
SILENCED_SYSTEM_CHECKS = ["security.W008"]
SECURE_HSTS_SECONDS = 31536000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _https
SECURE_HSTS_PRELOAD = _https
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
CSRF_TRUSTED_ORIGINS = [PUBLIC_BASE_URL]
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF, *([f"{_live.scheme}://{_live.netloc}"] if _live.netloc else [])],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"links": {"()": "crm.logs.HideLinks"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["links"]}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # twilio's client logs request bodies and headers at DEBUG and INFO.
        "twilio": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
    },
}
