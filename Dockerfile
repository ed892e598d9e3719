# One image for web, worker, beat and migrate: docker-compose.yml gives each its command.
FROM node:22-slim AS frontend
WORKDIR /app
COPY package.json package-lock.json ./
COPY scripts/frontend scripts/frontend
RUN mkdir -p node_modules && scripts/frontend

FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STATIC_ROOT=/app/staticfiles
WORKDIR /app
RUN useradd --system --uid 10001 --no-create-home panel

# requirements-observe.lock brings Sentry's and OpenTelemetry's libraries too: --build-arg REQUIREMENTS=…
ARG REQUIREMENTS=requirements.lock
COPY requirements.lock requirements-observe.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r "$REQUIREMENTS"

COPY manage.py ./
COPY rescuepanel rescuepanel
COPY teams teams
COPY instances instances
COPY templates templates
COPY static static
COPY locale locale
COPY --from=frontend /app/node_modules node_modules

# Placeholders: settings want these names, gathering static files uses none of them.
RUN SECRET_KEY=only-for-this-build-step-not-a-secret \
    ENCRYPTION_KEYS=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
    DATABASE_URL=sqlite:////tmp/unused REDIS_URL=redis://unused \
    python manage.py collectstatic --no-input

USER panel
EXPOSE 8000
CMD ["uvicorn", "rescuepanel.asgi:application", "--host", "0.0.0.0", "--port", "8000", \
     "--lifespan", "off", "--timeout-graceful-shutdown", "3", "--ws-max-size", "65536"]
