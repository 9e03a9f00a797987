# One image for the four services, the jobs and the `tradeoff` command: whose container it is, its command says.
ARG BASE=python:3.13-slim

FROM ${BASE} AS packages
RUN python -m venv --without-pip /opt/packages
COPY requirements.txt /tmp/
# Wheels only: nothing is compiled, so nothing that compiles is needed.
RUN pip --python /opt/packages/bin/python install --no-cache-dir --only-binary :all: --require-hashes \
        --requirement /tmp/requirements.txt

# Locust and its page, for `docker compose --profile load up`. It shares nothing with the shop but an address.
FROM ${BASE} AS load
LABEL org.opencontainers.image.title="Tradeoff: load" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin locust
COPY infra/load/requirements.txt /tmp/
RUN pip install --no-cache-dir --only-binary :all: --require-hashes --requirement /tmp/requirements.txt
COPY infra/load/locustfile.py /opt/load/
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER locust
CMD ["locust", "--locustfile", "/opt/load/locustfile.py"]

FROM ${BASE} AS application
LABEL org.opencontainers.image.title="Tradeoff" \
      org.opencontainers.image.description="One shop, every way to commit an order" \
      org.opencontainers.image.licenses="Apache-2.0"
# A volume that is mounted at /secrets for the first time is given to the one who owns it here.
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin tradeoff \
 && install -d -o tradeoff -g tradeoff -m 0700 /secrets \
 && printf '#!/opt/packages/bin/python\nfrom lab.cli import app\n\napp()\n' >/usr/local/bin/tradeoff \
 && chmod 755 /usr/local/bin/tradeoff
COPY --from=packages /opt/packages /opt/packages
WORKDIR /opt/tradeoff
COPY . .
ENV PATH=/opt/packages/bin:$PATH PYTHONPATH=/opt/tradeoff PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The root is read-only later.
RUN rm requirements.txt && python -m compileall -q .
USER tradeoff
ENTRYPOINT ["/opt/tradeoff/infra/compose/run.sh"]
CMD ["tradeoff", "--help"]
