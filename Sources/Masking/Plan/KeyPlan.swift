package import Architecture

/// Which group every space's key is drawn from; a function of the job alone, with no secret in it.
package struct KeyPlan: Sendable, Equatable, Codable {
  /// In the model's order of first use, input first.
  package let rows: [KeyPlanRow]
  /// The row that input batches are masked with.
  package let input: KeyPlanRow
  /// The row that outputs, output gradients and labels are masked with.
  package let output: KeyPlanRow

  package init(rows: [KeyPlanRow], input: KeyPlanRow, output: KeyPlanRow) {
    self.rows = rows
    self.input = input
    self.output = output
  }

  package func row(_ space: SpaceID) -> KeyPlanRow? {
    rows.first { $0.space == space }
  }
}
