extension Linkage {
  package func score(_ claim: LinkageClaim, truth: OwnerTruth) -> Measurement {
    let members = Records(rows: truth.rows, lengths: claim.lengths)
    let contents = Set((0..<members.count).map { members.content($0) })
    let isMember = (0..<claim.candidates.count).map { contents.contains(claim.candidates.content($0)) }
    let answers = claim.answers.map { LinkageScore(answers: $0, isMember: isMember) }
    let overlap = claim.neighbourOverlap(with: members, compute: compute)
    guard let first = answers.first, first.answered > 0 else {
      return Measurement(value: nil, interval: nil, chance: Self.falsePositiveRate, rows: members.count)
    }
    let curve = first.characteristic
    return Measurement(
      value: curve.truePositiveRate(atFalsePositiveRate: Self.falsePositiveRate),
      interval: first.interval(atFalsePositiveRate: Self.falsePositiveRate),
      chance: curve.chance(atFalsePositiveRate: Self.falsePositiveRate), rows: members.count,
      details: [
        .init("true-positive rate at 1 % false positives", curve.truePositiveRate(atFalsePositiveRate: 0.01)),
        .init("area under the curve", curve.areaUnderCurve),
        .init("neighbour-graph overlap", overlap.share),
        .init("neighbour-graph overlap by chance", overlap.chance),
        .init("candidates in the data", Double(first.members)),
        .init("candidates not in the data", Double(first.answered - first.members)),
        .init("false positives allowed", Double(curve.falsePositives(atRate: Self.falsePositiveRate))),
        .init("candidates at a time", Double(first.groupSize)),
      ],
      curve: Curve(
        horizontal: "candidates known at a time", vertical: Self.facts.metric, isLogarithmic: true,
        points: answers.filter(\.isComplete).sorted { $0.groupSize < $1.groupSize }.map {
          .init(
            x: Double($0.groupSize),
            y: $0.characteristic.truePositiveRate(atFalsePositiveRate: Self.falsePositiveRate))
        }))
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    func detail(_ name: String) -> Int { Int(measurement.details.first { $0.name == name }?.value ?? 0) }
    guard let value = measurement.value else { return "There was no time to look for a single candidate." }
    let size = detail("candidates at a time")
    let isChance = (measurement.interval?.lower ?? value) <= (measurement.chance ?? 0)
    guard !isChance else {
      return "Given \(size) candidate records at a time, this attack could not tell from norms and distances which of "
        + "them are in the data."
    }
    let fewer = measurement.curve?.points.first.map { point in
      Int(point.x) < size ? " With \(Int(point.x)) at a time it finds \(Self.percent(point.y))." : ""
    }
    return "Given \(size) candidate records at a time, half of them in the data, this attack finds "
      + "\(Self.percent(value)) of those that are, with \(detail("false positives allowed")) of \(detail("candidates not in the data")) "
      + "others mistaken for one, without any key." + (fewer ?? "")
  }

  private static func percent(_ share: Double) -> String { "\(ReportNumber.text((1000 * share).rounded() / 10)) %" }
}

/// Answers about candidates against the truth, kept by the questions that they were answers to.
struct LinkageScore {
  private struct Question {
    var members: [Double] = []
    var others: [Double] = []
  }

  let groupSize: Int
  /// Whether there was time for all of them.
  let isComplete: Bool
  private let questions: [Question]

  init(answers: LinkageClaim.Answers, isMember: [Bool]) {
    groupSize = answers.groupSize
    isComplete = answers.scores.allSatisfy { $0 != nil }
    let size = max(1, answers.groupSize)
    var questions = [Question](repeating: Question(), count: (answers.scores.count + size - 1) / size)
    for (candidate, score) in answers.scores.enumerated() {
      guard let score else { continue }
      if isMember[candidate] {
        questions[candidate / size].members.append(score)
      } else {
        questions[candidate / size].others.append(score)
      }
    }
    self.questions = questions.filter { !$0.members.isEmpty || !$0.others.isEmpty }
  }

  var members: Int { questions.reduce(0) { $0 + $1.members.count } }
  var answered: Int { questions.reduce(members) { $0 + $1.others.count } }
  var characteristic: ReceiverOperatingCharacteristic { Self.characteristic(questions) }

  /// Candidates of one question are matched together, and so found or missed together: the bootstrap draws questions, and Wilson's interval
  /// counts them.
  func interval(atFalsePositiveRate rate: Double) -> Interval? {
    guard members > 0, answered > members else { return nil }
    let threshold = characteristic.threshold(atFalsePositiveRate: rate)
    let counted = Interval.wilson(
      groups: questions.map { question in (question.members.count { $0 > threshold }, question.members.count) })
    var random = SystemRandomNumberGenerator()
    let drawn = Interval.bootstrap(items: questions.count, draws: 400, random: &random) { numbers in
      Self.characteristic(numbers.map { questions[$0] }).truePositiveRate(atFalsePositiveRate: rate)
    }
    return counted.union(drawn).clampedToUnitInterval
  }

  private static func characteristic(_ questions: [Question]) -> ReceiverOperatingCharacteristic {
    ReceiverOperatingCharacteristic(
      positives: questions.flatMap(\.members), negatives: questions.flatMap(\.others))
  }
}
