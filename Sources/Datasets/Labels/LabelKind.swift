/// What a task expects of its label column.
package enum LabelKind: Sendable, CaseIterable {
  /// One class a row (classification).
  case classes
  /// 0, 1 or missing, any number of columns (multilabel).
  case binary
  /// Finite numbers or missing, any number of columns (regression).
  case real
}
