# syntax=docker/dockerfile:1
# docker build -t muster --build-arg REVISION=$(git rev-parse --short=12 HEAD) .
FROM rust:1.95-bookworm AS build
ARG REVISION=""
ENV MUSTER_REVISION=$REVISION
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked -p muster-api \
    && install -D -s target/dist/muster /out/muster \
    && install -d /out/data

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="muster" \
      org.opencontainers.image.description="Real-time ride dispatch engine" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/muster /usr/local/bin/muster
COPY --from=build --chown=65532:65532 /out/data /var/lib/muster
USER 65532:65532
WORKDIR /var/lib/muster
VOLUME /var/lib/muster
# Loopback only, until the server checks who asks: a proxy in the same network namespace does.
ENTRYPOINT ["/usr/local/bin/muster"]
CMD ["serve", "--listen", "127.0.0.1:9996", "--data", "/var/lib/muster"]
