/// When an attempt has to come to an end.
package struct Deadline: Sendable {
  private let end: ContinuousClock.Instant

  package init(after duration: Duration) {
    end = ContinuousClock().now + duration
  }

  /// When this share of the time that is left from now on has passed.
  package func after(share: Double) -> Deadline {
    Deadline(after: max(.zero, ContinuousClock().now.duration(to: end) * share))
  }

  package var hasPassed: Bool { ContinuousClock().now >= end }
}
