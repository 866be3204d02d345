/// An attack that is not tried on this job.
package struct Inapplicable: Error, Equatable {
  /// Why, as a sentence without its full stop.
  package let reason: String
  /// Whether the job holds nothing that the attack could find. Otherwise it might succeed, and was not measured: a limit on it is not met.
  package let hasNothingToFind: Bool

  /// What would have to be measured and was not: too few rows, too long a training.
  package init(_ reason: String) {
    self.reason = reason
    hasNothingToFind = false
  }

  /// What is not there to be attacked: tokens of a job of features, a public base where there is none.
  package init(nothingToFind reason: String) {
    self.reason = reason
    hasNothingToFind = true
  }
}
