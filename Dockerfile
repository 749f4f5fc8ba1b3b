# Étude in a container. CPU by default; for NVIDIA GPUs build on a CUDA image:
#   docker build -t etude .
#   docker build -t etude:cuda --build-arg BUILD=nvidia/cuda:13.0.1-devel-ubuntu24.04 \
#       --build-arg RUN=nvidia/cuda:13.0.1-runtime-ubuntu24.04 --build-arg FEATURES=cuda .
ARG BUILD=rust:1.95-slim-trixie
ARG RUN=debian:trixie-slim

FROM ${BUILD} AS build
ARG FEATURES=""
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev curl ca-certificates \
    && rm -rf /var/lib/apt/lists/*
RUN command -v cargo || (curl -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal)
ENV PATH=/root/.cargo/bin:$PATH
WORKDIR /src
COPY . .
RUN cargo build --release --locked --features "${FEATURES}"

FROM ${RUN}
COPY --from=build /src/target/release/etude /usr/local/bin/etude
COPY configs /app/configs
COPY examples /app/examples
WORKDIR /app
ENTRYPOINT ["etude"]
