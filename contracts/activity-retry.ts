/** What ran nothing may be tried again; the number is bounded, so that a forgotten fault cannot spend for ever. */
export const activityRetry = { initialIntervalMs: 100, backoffCoefficient: 2, maximumIntervalMs: 10_000, maximumAttempts: 20 } as const;
