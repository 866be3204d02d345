import Synchronization
package import Numerics

/// Is this record in the data? Keys keep norms and distances, so that a few records known in plaintext can be looked for all at once.
///
/// Candidates are matched with masked records so that lengths (sorted values under permutations) and mutual distances agree
/// (`GroupMatching`); a candidate's score is the evidence for its best record. The same principle as re-identification from a social
/// graph's structure (Narayanan and Shmatikov, IEEE S&P 2009, section 5), with distances for edges; for rotations, Liu, Giannella and
/// Kargupta, PKDD 2006, section 4, find known records in this way.
package struct Linkage: Attack {
  package static let facts = AttackFacts(
    kind: .linkage, title: "Linkage by distances",
    knowledge: "candidate records in plaintext, 32 at a time, of which half are in the data",
    metric: "true-positive rate at 0.1 % false positives (below 1,000 negatives: at none)", isWorseWhenHigher: true,
    source: "Liu, Giannella, Kargupta, PKDD 2006, section 4; Narayanan, Shmatikov, IEEE S&P 2009, section 5")

  static let falsePositiveRate = 0.001
  static let neighbours = 10

  let compute: Compute
  /// Candidates of each kind, in the data and not in it.
  private let candidates: Int
  /// Candidates asked about at a time: the metric is that of the first, the curve shows all.
  private let groupSizes: [Int]
  private let matching: GroupMatching.Settings
  /// Records whose nearest neighbours are claimed.
  private let neighbourQueries: Int

  package init(
    compute: Compute, candidates: Int = 1024, groupSizes: [Int] = [32, 8, 2], neighbourQueries: Int = 512
  ) {
    self.compute = compute
    self.candidates = candidates
    self.groupSizes = groupSizes
    matching = GroupMatching.Settings()
    self.neighbourQueries = neighbourQueries
  }

  /// Candidate records in random order, of which nothing says whether they are in the view.
  package typealias Knowledge = Records

  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> Records {
    let view = evidence.masked
    let known = truth.rows.columns + (view.inputLayout == nil ? 0 : 1)
    guard known <= view.inputs.columns else { throw Inapplicable("masked rows are narrower than the plaintext") }
    guard let sample = Records(sampleOf: evidence.knowledge, like: view) else {
      throw Inapplicable("there is no public sample of whole records to tell members from")
    }
    let members = Records(rows: truth.rows, lengths: view.lengths)
    var seen = Set<[Float]>()
    let inView = (0..<members.count).filter { seen.insert(members.content($0)).inserted }
    // What equals a record of the view is a member, wherever it comes from.
    let outside = (0..<sample.count).filter { seen.insert(sample.content($0)).inserted }
    let count = min(candidates, inView.count, outside.count)
    guard count >= 16 else { throw Inapplicable("there are too few records to tell members from others") }
    let all = members.selecting(Array(inView.shuffled(using: &random).prefix(count)))
      .joined(with: sample.selecting(Array(outside.shuffled(using: &random).prefix(count))))
    return all.selecting(Array(0..<all.count).shuffled(using: &random))
  }

  package func attempt(
    on view: ProviderView, knowing candidates: Records, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws -> LinkageClaim {
    let scene = LinkageScene(candidates: candidates, view: view, compute: compute)
    let neighbours = nearest(in: scene)
    // Groups that the noise is judged by: enough for some dozens of members.
    let size = max(2, groupSizes.first ?? 32)
    let some = Self.groups(of: size, count: min(candidates.count, max(3 * size, 64)))
    // Half of the time is kept for the answers, however much the noise takes to find out.
    let noise = LinkageNoise.estimate(
      scene, groups: some, settings: matching, compute: compute, until: deadline.after(share: 0.5))
    let groups = LinkageGroups(scene: scene, noise: noise, settings: matching)
    let answers = groupSizes.map { size in
      let questions = Self.groups(of: size, count: candidates.count)
      var scores = [Double?](repeating: nil, count: candidates.count)
      for (question, outcome) in zip(questions, groups.outcomes(questions, compute: compute, until: deadline)) {
        guard let outcome else { continue }
        for (candidate, score) in zip(question, outcome.scores) { scores[candidate] = score }
      }
      return LinkageClaim.Answers(groupSize: size, scores: scores)
    }
    return LinkageClaim(
      candidates: candidates, answers: answers, lengths: view.lengths, neighbours: neighbours)
  }

  private static func groups(of size: Int, count: Int) -> [[Int]] {
    stride(from: 0, to: count, by: max(1, size)).map { Array($0..<min(count, $0 + max(1, size))) }
  }

  /// The records that lie nearest to some, evenly taken, by masked distance.
  private func nearest(in scene: LinkageScene) -> [LinkageClaim.Neighbours] {
    let rows = scene.rows
    let step = max(1, rows / max(1, neighbourQueries))
    return scene.distances.withUnsafeBufferPointer { distances in
      stride(from: 0, to: rows, by: step).map { record in
        LinkageClaim.Neighbours(
          record: record,
          nearest: Self.nearest(Self.neighbours, to: record, by: distances[record * rows..<(record + 1) * rows]))
      }
    }
  }

  /// The indices of the `count` least, without `record` itself.
  static func nearest<Value: Comparable>(_ count: Int, to record: Int, by distances: some Collection<Value>) -> [Int] {
    var kept: [(index: Int, distance: Value)] = []
    for (index, distance) in distances.enumerated() where index != record {
      if kept.count == count, let last = kept.last, last.distance <= distance { continue }
      kept.insert((index, distance), at: kept.firstIndex { $0.distance > distance } ?? kept.count)
      if kept.count > count { kept.removeLast() }
    }
    return kept.map(\.index)
  }
}

/// Which candidates are said to be in the data, and which masked records to be neighbours.
package struct LinkageClaim: Sendable {
  /// Asked about so many at a time.
  struct Answers: Sendable {
    let groupSize: Int
    /// Of each candidate, higher for those that are rather in the data; nil where there was no time.
    let scores: [Double?]
  }

  /// The records nearest to one, by number.
  struct Neighbours: Sendable {
    let record: Int
    let nearest: [Int]
  }

  let candidates: Records
  let answers: [Answers]
  /// Of the view's samples: how its rows make records.
  let lengths: [Int32]?
  let neighbours: [Neighbours]

  /// The share of claimed neighbours that are among the nearest in plaintext, as many as were claimed; those as far off as the last
  /// count. Chance is what any other choice of as many has.
  func neighbourOverlap(with members: Records, compute: Compute) -> (share: Double, chance: Double) {
    let count = members.count
    guard count > 1, !neighbours.isEmpty else { return (0, 0) }
    let distances = members.vectors.selecting(rows: neighbours.map(\.record))
      .squaredDistances(to: members.vectors, compute: compute)
    let norms = members.vectors.squaredNorms
    var (right, claimed, expected) = (0, 0, 0.0)
    distances.withUnsafeBufferPointer { distances in
      for (query, neighbours) in neighbours.enumerated() where !neighbours.nearest.isEmpty {
        let row = distances[query * count..<(query + 1) * count]
        let nearest = Linkage.nearest(neighbours.nearest.count, to: neighbours.record, by: row)
        guard let last = nearest.last else { continue }
        // Distances that differ by less than masked rows are rounded by are equal.
        let limit = row[row.startIndex + last] + 1e-6 * (norms[neighbours.record] + norms[last])
        right += neighbours.nearest.count { row[row.startIndex + $0] <= limit }
        claimed += neighbours.nearest.count
        expected += Double(neighbours.nearest.count) * Double(row.count { $0 <= limit } - 1) / Double(count - 1)
      }
    }
    guard claimed > 0 else { return (0, 0) }
    return (Double(right) / Double(claimed), expected / Double(claimed))
  }
}

/// Questions about a few candidates each, answered one by one.
struct LinkageGroups: Sendable {
  let scene: LinkageScene
  let noise: LinkageNoise
  let settings: GroupMatching.Settings

  /// Nil for groups that the deadline left no time to begin with.
  func outcomes(_ groups: [[Int]], compute: Compute, until deadline: Deadline) -> [GroupMatching.Outcome?] {
    let outcomes = Mutex([GroupMatching.Outcome?](repeating: nil, count: groups.count))
    compute.workers.perform(pieces: groups.count) { piece in
      guard !deadline.hasPassed else { return }
      let outcome = GroupMatching(groups[piece], in: scene, noise: noise, settings: settings)
        .outcome(until: deadline)
      outcomes.withLock { $0[piece] = outcome }
    }
    return outcomes.withLock { $0 }
  }
}
