import Synchronization
import Tensors

/// Questions about a few candidates each, answered one by one.
struct LinkageGroups: Sendable {
  let scene: LinkageScene
  let noise: LinkageNoise
  let settings: GroupMatching.Settings

  /// Nil for groups that the deadline left no time to begin with.
  func outcomes(_ groups: [[Int]], workers: Workers, until deadline: Deadline) -> [GroupMatching.Outcome?] {
    let outcomes = Mutex([GroupMatching.Outcome?](repeating: nil, count: groups.count))
    workers.perform(pieces: groups.count) { piece in
      guard !deadline.hasPassed else { return }
      let outcome = GroupMatching(groups[piece], in: scene, noise: noise, settings: settings)
        .outcome(until: deadline)
      outcomes.withLock { $0[piece] = outcome }
    }
    return outcomes.withLock { $0 }
  }
}
