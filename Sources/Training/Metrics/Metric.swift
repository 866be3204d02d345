/// One number that says how good outputs are.
package struct Metric: Sendable, Equatable, Codable {
  /// "accuracy", "macro_f1", "roc_auc", "rmse", "r2".
  package let name: String
  /// Nil where the rows seen do not define it (no task with both classes, no observed entry, constant targets).
  package let value: Double?
  package let higherIsBetter: Bool

  package init(name: String, value: Double?, higherIsBetter: Bool) {
    self.name = name
    self.value = value
    self.higherIsBetter = higherIsBetter
  }

  /// Strictly better than `other`, so that `keep: best` keeps the first of equals; a defined value beats an undefined one.
  package func isBetter(than other: Metric) -> Bool {
    guard let value else { return false }
    guard let before = other.value else { return true }
    return higherIsBetter ? value > before : value < before
  }
}
