/// When an attempt has to come to an end.
package struct Deadline: Sendable {
  private let end: ContinuousClock.Instant

  package init(after duration: Duration) {
    end = ContinuousClock().now + duration
  }

  package var hasPassed: Bool { ContinuousClock().now >= end }
}
