# Rolltape in a container. What is in it, how large it is, and how to run it: docs/installation.md#a-container
#
# Nothing here is for one architecture only: all parts come from Debian, or as wheels that exist for amd64 and arm64.

ARG BASE=debian:trixie-slim

# What runs Rolltape: Python, an init that hands on signals, and the certificates of public authorities.
FROM ${BASE} AS runtime
RUN apt-get update \
 && apt-get upgrade -y \
 && apt-get install -y --no-install-recommends ca-certificates python3 tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*

# Rolltape and the libraries it is pinned to, each checked by its hash. FFmpeg comes from Debian instead of the wheel.
FROM runtime AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
WORKDIR /build
COPY requirements.txt requirements-build.txt ./
RUN python3 -m venv /build/venv \
 && python3 -m venv --without-pip /opt/rolltape \
 && /build/venv/bin/pip install --no-cache-dir --require-hashes -r requirements-build.txt \
 && /build/venv/bin/pip --python /opt/rolltape install --no-cache-dir --require-hashes -r requirements.txt \
 && rm /opt/rolltape/lib/python3*/site-packages/imageio_ffmpeg/binaries/ffmpeg-*
COPY pyproject.toml README.md LICENSE ./
COPY src src
# Wheels are compiled to bytecode here: a container that cannot write to itself could not keep it.
RUN /build/venv/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
 && /build/venv/bin/pip --python /opt/rolltape install --no-cache-dir --no-deps wheels/*.whl

# Debian's FFmpeg and the libraries it is linked to, half of what its packages would bring: drivers of graphics cards
# and their compiler are loaded only to show video. What is taken is entered where scanners look, with its licence.
FROM runtime AS ffmpeg
RUN touch /before \
 && apt-get update && apt-get install -y --no-install-recommends ffmpeg
COPY deploy/container/take-program /usr/local/bin/
RUN take-program ffmpeg /taken

FROM runtime
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Rolltape" \
      org.opencontainers.image.description="Records internet radio on a timetable and delivers finished, tagged MP3 files" \
      org.opencontainers.image.licenses="GPL-3.0-or-later" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=ffmpeg /taken/ /
COPY --from=build /opt/rolltape /opt/rolltape
COPY deploy/container/rolltape deploy/container/rolltape-alive /usr/local/bin/
RUN ldconfig \
 && groupadd --gid 10001 rolltape \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin rolltape \
 && install -d -m 0700 -o 10001 -g 10001 /data /config /log /artwork \
 && install -d -m 0755 -o 10001 -g 10001 /recordings

ENV ROLLTAPE_DATA_DIR=/data \
    ROLLTAPE_RECORDINGS_DIR=/recordings \
    ROLLTAPE_CONFIG_DIR=/config \
    ROLLTAPE_LOG_DIR=/log \
    ROLLTAPE_ARTWORK_DIR=/artwork \
    ROLLTAPE_FFMPEG=/usr/bin/ffmpeg \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /data
VOLUME ["/data", "/recordings", "/config", "/log", "/artwork"]
EXPOSE 8666
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["rolltape-alive"]
ENTRYPOINT ["tini", "--", "rolltape"]
CMD ["serve"]
