# The daemon of this checkout: `docker build -t spines .`, then
#   docker run --network host -v /etc/spines:/etc/spines:ro -v spines-state:/var/lib/spines spines
# The config is /etc/spines/spines.yaml, owned by user 1000 as key and certificate are; in it belong
# `client.socket: /run/spines/spines.sock` and `identity.revocations:
# /var/lib/spines/revocations.crl`. UDP offload and host networking go together: a bridge's NAT
# costs a copy of each datagram.
FROM node:22-bookworm-slim AS build
WORKDIR /src
COPY . .
RUN node .ci/prepare.mjs && npm prune --omit=dev --no-audit

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /opt/spines
COPY --from=build /src/package.json /src/LICENSE ./
COPY --from=build /src/dist ./dist
COPY --from=build /src/examples ./examples
COPY --from=build /src/topologies ./topologies
COPY --from=build /src/spines-client ./spines-client
COPY --from=build /src/node_modules ./node_modules
RUN ln -s /opt/spines/dist/cli/main.js /usr/local/bin/spines \
 && install -d -o node -g node -m 750 /run/spines /var/lib/spines
USER node
VOLUME /var/lib/spines
HEALTHCHECK --interval=10s --timeout=5s CMD ["spines", "status", "--socket", "/run/spines/spines.sock"]
ENTRYPOINT ["spines"]
CMD ["daemon", "--config", "/etc/spines/spines.yaml"]
