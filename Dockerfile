# smlt's Temporal worker and embedded Lambda server, for docker-compose.yml.
ARG NODE_IMAGE=node:24.11.1-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build

FROM ${NODE_IMAGE}
# Temporal's client checks certificates of TLS servers by the system's list, which the slim image lacks.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
WORKDIR /app
ENV NODE_ENV=production
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && npm cache clean --force
COPY bin bin
COPY --from=build /app/dist dist
# A volume mounted here takes over the folder's owner.
RUN mkdir -p /var/lib/smlt && chown node:node /var/lib/smlt
USER node
CMD ["node", "dist/worker/main.js"]
