/// Which weights a run returns.
package enum KeepPolicy: String, Sendable, Codable, CaseIterable {
  /// After the epoch with the best validation metric, the first on ties.
  case best
  case last
}
