/// Where the owner's wall time went.
package struct PhaseTimes: Sendable {
  /// One phase's total.
  package struct Meter: Sendable {
    package private(set) var total = Duration.zero

    package mutating func measure<Value>(_ work: () throws -> Value) rethrows -> Value {
      let clock = ContinuousClock()
      let start = clock.now
      defer { total += start.duration(to: clock.now) }
      return try work()
    }

    package mutating func add(_ duration: Duration) {
      total += duration
    }

    package var seconds: Double { total / .seconds(1) }
  }

  /// HDF5 in, and the scratch file in and out.
  package var reading = Meter()
  package var masking = Meter()
  /// For the trainer.
  package var waiting = Meter()
  /// Unmasking outputs, loss, metrics, masking gradients.
  package var loss = Meter()

  package init() {}
}
