/** What a job's check learns of its model, for a plan. */
export interface ModelFacts {
  readonly paramCount: number;
  readonly peakMemoryMib: number;
  /** Counted in the graph; 0 where nobody can count, as in a Python program. */
  readonly forwardFlopsPerSample: number;
}
