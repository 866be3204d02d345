/// An attack that has nothing to work on in this job.
package struct Inapplicable: Error, Equatable {
  /// Why, as a sentence without its full stop.
  package let reason: String

  package init(_ reason: String) {
    self.reason = reason
  }
}
