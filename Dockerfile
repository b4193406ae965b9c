# One image for every process; the command says which. Nothing secret is baked in.
FROM python:3.12-slim AS build
WORKDIR /build
COPY requirements.lock pyproject.toml README.md ./
RUN python -m venv /opt/trueup && /opt/trueup/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY config config
COPY domain domain
COPY adapters adapters
COPY workers workers
RUN /opt/trueup/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
# The bundled first-look servers are not used here: PostgreSQL and the broker are containers of their own.
RUN useradd --system --create-home --home-dir /var/lib/trueup trueup
COPY --from=build /opt/trueup /opt/trueup
ENV PATH=/opt/trueup/bin:$PATH PYTHONUNBUFFERED=1 TRUEUP_HOME=/var/lib/trueup TRUEUP_LOG_FORMAT=json
USER trueup
WORKDIR /var/lib/trueup
ENTRYPOINT ["trueup"]
CMD ["--help"]
