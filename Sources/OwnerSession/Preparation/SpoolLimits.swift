/// What decides where a job's masked rows are kept and when they are masked.
package struct SpoolLimits: Sendable {
  /// Bytes of masked rows that are kept in memory rather than in a file.
  package var memory: Int
  /// Multiplications up to which rows are masked behind training: a few seconds of a slow core at most, because a trainer takes an
  /// owner that is silent for longer for lost.
  package var backgroundWork: Int
  /// Rows that are masked at a time behind training: the first step waits for so many.
  package var backgroundRows: Int

  package init(memory: Int = 192 << 20, backgroundWork: Int = 1 << 36, backgroundRows: Int = 2048) {
    self.memory = memory
    self.backgroundWork = backgroundWork
    self.backgroundRows = backgroundRows
  }

  /// Whether the plain rows are kept too and masked behind training. Decided by sizes alone, as a row's bits depend on it.
  func masksBehindTraining(rows: Int, columns: Int, width: Int, elementBytes: Int) -> Bool {
    let (elements, overflow) = rows.multipliedReportingOverflow(by: width)
    return !overflow && elements <= memory / elementBytes && elements <= backgroundWork / max(1, columns)
  }
}
