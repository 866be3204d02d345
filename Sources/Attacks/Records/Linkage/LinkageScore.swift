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

  /// Candidates of one question are laid over the rows together, found or missed together: questions are what is drawn again, and what is
  /// counted where no draw comes out otherwise.
  func interval(atFalsePositiveRate rate: Double) -> Interval? {
    guard members > 0, answered > members else { return nil }
    let threshold = characteristic.threshold(atFalsePositiveRate: rate)
    let counted = Interval.wilson(
      groups: questions.map { question in (question.members.count { $0 > threshold }, question.members.count) })
    var random = SystemRandomNumberGenerator()
    let drawn = Interval.bootstrap(items: questions.count, draws: 400, random: &random) { numbers in
      Self.characteristic(numbers.map { questions[$0] }).truePositiveRate(atFalsePositiveRate: rate)
    }
    return counted.union(drawn).withinUnity
  }

  private static func characteristic(_ questions: [Question]) -> ReceiverOperatingCharacteristic {
    ReceiverOperatingCharacteristic(
      positives: questions.flatMap(\.members), negatives: questions.flatMap(\.others))
  }
}
