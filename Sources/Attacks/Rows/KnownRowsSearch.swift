/// Which numbers of known rows are tried, and in which order: up by the given ones until the first that is enough, then between it and the
/// one before, then the rest of the given ones.
///
/// The least number that is enough is so found to within a sixteenth, or exactly below 32, for four more trials or so.
struct KnownRowsSearch {
  private static let resolution = 16

  private var left: ArraySlice<Int>
  private let bisects: Bool
  /// The greatest number that was not enough, the least that was, and the one under way.
  private var tooFew = 0
  private var enough: Int?
  /// Nil when all is tried.
  private(set) var next: Int?

  /// - Parameter counts: ascending.
  init(counts: [Int], bisects: Bool) {
    left = counts[...]
    self.bisects = bisects
    next = left.popFirst()
  }

  /// - Parameter isReached: whether `next` was enough.
  mutating func add(isReached: Bool) {
    guard let tried = next else { return }
    if isReached {
      enough = min(tried, enough ?? tried)
    } else if tried < enough ?? .max {
      tooFew = max(tooFew, tried)
    }
    if bisects, let enough, enough - tooFew > max(1, enough / Self.resolution) {
      next = tooFew + (enough - tooFew) / 2
    } else {
      next = left.popFirst()
    }
  }
}
