import Protocol

/// In which order jobs that wait are to run: next comes one of the owner with the fewest jobs at work, of several owners the one that has
/// used the least processor time, of several jobs the one that came first.
///
/// An owner's second job in line counts as if its first ran already, and so on: two owners with many jobs each take turns.
struct FairOrder<Job> {
  /// Jobs at work, by owner.
  var running: [OwnerKey: Int] = [:]
  /// CPU seconds used so far, by owner.
  var used: [OwnerKey: Double] = [:]

  private struct Place: Comparable {
    let running: Int
    let used: Double
    let arrival: Int

    static func < (left: Place, right: Place) -> Bool {
      (left.running, left.used, left.arrival) < (right.running, right.used, right.arrival)
    }
  }

  /// - Parameter waiting: in order of arrival.
  func sorted(_ waiting: [(job: Job, owner: OwnerKey)]) -> [Job] {
    var ahead = running
    let places = waiting.enumerated().map { arrival, entry in
      defer { ahead[entry.owner, default: 0] += 1 }
      return (
        job: entry.job,
        place: Place(running: ahead[entry.owner] ?? 0, used: used[entry.owner] ?? 0, arrival: arrival)
      )
    }
    return places.sorted { $0.place < $1.place }.map(\.job)
  }
}
