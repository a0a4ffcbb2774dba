/** A run's page in Temporal Web UI. */
export const runUrl = (uiUrl: string, namespace: string, runId: string): string => `${uiUrl}/namespaces/${namespace}/workflows/${runId}`;
