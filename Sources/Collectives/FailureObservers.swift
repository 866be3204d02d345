/// Whom to tell of a failure, until they no longer want to know. Whoever has one guards it by a lock.
struct FailureObservers {
  private var actions: [Int: @Sendable (CollectiveError) -> Void] = [:]
  private var added = 0

  /// - Returns: what to remove it by.
  mutating func add(_ action: @escaping @Sendable (CollectiveError) -> Void) -> Int {
    added += 1
    actions[added] = action
    return added
  }

  mutating func remove(_ number: Int) {
    actions[number] = nil
  }

  /// All of them, in the order in which they came; then there are none.
  mutating func takeAll() -> [@Sendable (CollectiveError) -> Void] {
    defer { actions = [:] }
    return actions.sorted { $0.key < $1.key }.map(\.value)
  }
}
