package import Exposure
package import Tensors

/// Is this record in there? Keys keep norms and distances, so that a few records known in plaintext can be looked for all at once.
///
/// Candidates are laid over the masked records so that lengths (sorted values under permutations) and mutual distances agree
/// (`GroupMatching`); a candidate's score is the evidence for the best place it has. The same principle as re-identification from a social
/// graph's structure (Narayanan and Shmatikov, IEEE S&P 2009, section 5), with distances for edges; for rotations, Liu, Giannella and
/// Kargupta, PKDD 2006, section 4, find known records in this way.
package struct Linkage: Attack {
  package static let facts = AttackFacts(
    kind: .linkage, title: "Linkage by distances",
    knowledge: "a few candidate records in plaintext at a time, half of which are in the data",
    metric: "true-positive rate at 0.1 % false positives", isWorseWhenHigher: true,
    source: "Liu, Giannella, Kargupta, PKDD 2006, section 4; Narayanan, Shmatikov, IEEE S&P 2009, section 5")

  static let falsePositiveRate = 0.001
  static let neighbours = 10

  private let workers: Workers
  /// Candidates of each kind, in the data and not in it.
  private let candidates: Int
  /// Candidates asked about at a time: the metric is that of the first, the curve shows all.
  private let groupSizes: [Int]
  private let matching: GroupMatching.Settings
  /// Records whose nearest neighbours are claimed.
  private let neighbourQueries: Int

  package init(
    workers: Workers, candidates: Int = 1024, groupSizes: [Int] = [32, 8, 2], neighbourQueries: Int = 512
  ) {
    self.workers = workers
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
    let all = members.picking(Array(inView.shuffled(using: &random).prefix(count)))
      .joined(with: sample.picking(Array(outside.shuffled(using: &random).prefix(count))))
    return all.picking(Array(0..<all.count).shuffled(using: &random))
  }

  package func attempt(
    on view: ProviderView, knowing candidates: Records, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws -> LinkageClaim {
    let scene = LinkageScene(candidates: candidates, view: view, workers: workers)
    let neighbours = nearest(in: scene)
    // Groups that the noise is judged by: enough for some dozens of members.
    let size = max(2, groupSizes.first ?? 32)
    let some = Self.groups(of: size, count: min(candidates.count, max(3 * size, 64)))
    let noise = LinkageNoise.estimate(
      scene, groups: some, settings: matching, workers: workers, until: deadline)
    let groups = LinkageGroups(scene: scene, noise: noise, settings: matching)
    let answers = groupSizes.map { size in
      let questions = Self.groups(of: size, count: candidates.count)
      var scores = [Double?](repeating: nil, count: candidates.count)
      for (question, outcome) in zip(questions, groups.outcomes(questions, workers: workers, until: deadline)) {
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

  package func score(_ claim: LinkageClaim, truth: OwnerTruth) -> Measurement {
    let members = Records(rows: truth.rows, lengths: claim.lengths)
    let contents = Set((0..<members.count).map { members.content($0) })
    let isMember = (0..<claim.candidates.count).map { contents.contains(claim.candidates.content($0)) }
    let curves = claim.answers.map { ($0.groupSize, characteristic($0.scores, isMember), $0.scores) }
    let overlap = claim.neighbourOverlap(with: members, workers: workers)
    guard let (size, first, scores) = curves.first, scores.contains(where: { $0 != nil }) else {
      return Measurement(value: nil, interval: nil, chance: Self.falsePositiveRate, rows: members.count)
    }
    let answered = zip(scores, isMember).filter { $0.0 != nil }
    let positives = answered.filter(\.1).count
    let found = first.truePositives(atFalsePositiveRate: Self.falsePositiveRate)
    return Measurement(
      value: first.truePositiveRate(atFalsePositiveRate: Self.falsePositiveRate),
      interval: .wilson(successes: found, trials: positives),
      chance: first.chance(atFalsePositiveRate: Self.falsePositiveRate), rows: members.count,
      details: [
        .init("true-positive rate at 1 % false positives", first.truePositiveRate(atFalsePositiveRate: 0.01)),
        .init("area under the curve", first.areaUnderCurve),
        .init("neighbour-graph overlap", overlap.share),
        .init("neighbour-graph overlap by chance", overlap.chance),
        .init("candidates in the data", Double(positives)),
        .init("candidates not in the data", Double(answered.count - positives)),
        .init("candidates at a time", Double(size)),
      ],
      curve: Curve(
        horizontal: "candidates known at a time", vertical: Self.facts.metric, isLogarithmic: true,
        points: curves.filter { $0.2.allSatisfy { $0 != nil } }.sorted { $0.0 < $1.0 }.map {
          .init(x: Double($0.0), y: $0.1.truePositiveRate(atFalsePositiveRate: Self.falsePositiveRate))
        }))
  }

  private func characteristic(_ scores: [Double?], _ isMember: [Bool]) -> ReceiverOperatingCharacteristic {
    let answered = zip(scores, isMember).compactMap { score, isMember in score.map { ($0, isMember) } }
    return ReceiverOperatingCharacteristic(
      positives: answered.filter(\.1).map(\.0), negatives: answered.filter { !$0.1 }.map(\.0))
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    guard let value = measurement.value else { return "There was no time to look for a single candidate." }
    let share = Int((100 * value).rounded())
    let negatives = measurement.details.first { $0.name == "candidates not in the data" }?.value ?? 0
    let errors = negatives * Self.falsePositiveRate < 1 ? "without a single error" : "with one error in a thousand"
    let isChance = (measurement.interval?.lower ?? value) <= measurement.chance
    return isChance
      ? "Who has a few candidate records cannot tell from norms and distances which of them are in the data."
      : "Who has a few candidate records finds \(share) % of those that are in the data, \(errors), without any key."
  }
}
