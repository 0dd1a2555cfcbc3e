# The npm packages come without optional ones: those bring a Node for machines whose own is too old, and the image
# has the right one.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=optional
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

# A stage of its own, so that npm's cache does not end up in the image.
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional

FROM node:24-slim
LABEL org.opencontainers.image.title="anyllm-batch" \
      org.opencontainers.image.description="an OpenAI-compatible Batch API for any LLM server" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
ENV HOST=0.0.0.0 PORT=8080 DATA_DIR=/data
WORKDIR /app
# Owned by root: the service cannot change its own code.
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY migrations ./migrations
COPY scripts/health-check.cjs ./scripts/
COPY package.json LICENSE ./
# A new volume takes its owner from here.
RUN install -d -o node -g node -m 0700 /data
VOLUME /data
# The user `node`, as a number: Kubernetes' runAsNonRoot cannot tell from a name that it is not root.
USER 1000:1000
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["node", "scripts/health-check.cjs"]
# A small young generation: faster ones cost memory, and this service makes little garbage that lives.
CMD ["node", "--max-semi-space-size=16", "dist/main.js"]
