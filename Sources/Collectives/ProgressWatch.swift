import Foundations

/// Finds out, from a thread of its own, that another one hangs in a call that does not return.
///
/// What it counts is its own ticks: while the whole process is suspended there are none, and nobody is taken to hang.
struct ProgressWatch {
  /// Ticks without a beat of the watched thread after which it hangs; fewer where there is a reason to doubt.
  static let ticks = (usual: 60, doubted: 8)

  /// The watched thread, at one moment.
  struct Pulse {
    /// Grows whenever the thread shows that it goes on.
    var beats: UInt64
    /// It was asked for what it would have seen to by now.
    var isDoubted: Bool
  }

  private let tick: Duration
  private let pulse: () -> Pulse?

  /// - Parameter pulse: nil when there is nothing to watch any more.
  init(tick: Duration = .seconds(1), pulse: @escaping () -> Pulse?) {
    self.tick = tick
    self.pulse = pulse
  }

  /// Returns when the thread hangs, or has ended.
  ///
  /// - Returns: whether it hangs.
  func run(until ended: MonotonicLatch) -> Bool {
    var last: UInt64?
    var (still, doubted) = (0, 0)
    while !ended.wait(for: tick) {
      guard let now = pulse() else { return false }
      let isStill = now.beats == last
      last = now.beats
      still = isStill ? still + 1 : 0
      doubted = isStill && now.isDoubted ? doubted + 1 : 0
      if still >= Self.ticks.usual || doubted >= Self.ticks.doubted { return true }
    }
    return false
  }
}
