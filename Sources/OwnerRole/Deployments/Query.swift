import Datasets
import Files
package import Foundation
import Foundations
import Masking
import Models
package import Numerics
import Protocol

/// What a finished query has shown.
package struct QueryReport: Sendable, Codable, Equatable {
  package var rows: Int
  package var questions: Int
  package var seconds: Double
  /// Of this process: fewer than `rows` where an earlier one had answers already.
  package var rowsAsked: Int
  /// Rows, of a model of tokens its tokens, that the host has seen of this deployment under all its keys, and how many it may see.
  /// Nil where the host was not asked.
  package var rowsSeen: Int?
  package var maximumRows: Int?
  package var keyNumber: Int
}

/// Asks a deployment about every sample of a file and writes the data sets of a prediction.
package final class Query<Element: FloatingElement> {
  /// What happens, for progress.
  package enum Event: Sendable {
    case answered(rows: Int, of: Int, rowsSeen: Int)
    case waiting(String)
    case lost(String)
    case back
    case rekeyed(Int)
    /// Rows that an earlier process had answered.
    case resumed(rows: Int)
  }

  private let client: DeploymentClient<Element>
  private let source: QuestionSource
  private let output: URL
  private let place: PartialAnswers.Place
  private let subject: PartialAnswers.Subject
  private let takeNumbers: (_ count: Int, _ answered: Int) throws -> Int
  private let isInterrupted: () -> Bool
  private let observe: (Event) -> Void
  private var partial: PartialAnswers?
  private var terms: DeploymentTerms?
  private var rowsSeen = 0

  /// - Parameters:
  ///   - data: path of the file that `source` reads.
  ///   - features: as it was given for `source`.
  ///   - isKept: whether answers are kept beside `output` until it is whole, for a query that goes on there; otherwise they are on no disk once
  ///     the process ends.
  ///   - takeNumbers: takes so many numbers that no question has had, after the largest that the host has answered.
  /// - Throws: `OwnerError.unfitData` for a file that cannot be looked at.
  package init(
    client: DeploymentClient<Element>, source: QuestionSource, data: String, features: String?, to output: URL,
    isKept: Bool = true, takeNumbers: @escaping (_ count: Int, _ answered: Int) throws -> Int,
    isInterrupted: @escaping () -> Bool = { false },
    observe: @escaping (Event) -> Void = { _ in }
  ) throws {
    self.client = client
    self.source = source
    self.output = output
    place = isKept ? .file(PartialOutput.path(output)) : .unnamed(in: output.deletingLastPathComponent().path)
    self.takeNumbers = takeNumbers
    self.isInterrupted = isInterrupted
    self.observe = observe
    subject = PartialAnswers.Subject(
      deployment: client.deployment, client: client.publicKey, data: try AskedFile(data), features: features,
      rows: source.rows, width: client.shape.outputs * (Self.tokensOfRow(client, source) ?? 1))
  }

  private static func tokensOfRow(_ client: DeploymentClient<Element>, _ source: QuestionSource) -> Int? {
    client.shape.task.isPerToken ? source.columns : nil
  }

  /// What an earlier process has written to `output`, where it was killed before it could remove what it kept beside that: this is done then, and
  /// nobody is asked.
  ///
  /// - Returns: nil where nothing is at the output's place.
  /// - Throws: `OwnerError.run` where something else is.
  package func finishedBefore() throws -> QueryReport? {
    guard let beside = try PartialOutput.beside(output) else { return nil }
    let partial = try PartialAnswers(.file(beside), subject, outputs: client.shape.outputs)
    guard let cut = partial.cut, partial.answered * cut.rowsPerQuestion >= source.rows,
      try isWhatIsThere(partial)
    else { throw PartialOutput.isTaken(output) }
    try partial.remove()
    return QueryReport(
      rows: source.rows, questions: partial.answered, seconds: 0, rowsAsked: 0, rowsSeen: nil, maximumRows: nil,
      keyNumber: client.keyNumber)
  }

  /// Asks until all is answered, waiting for a host that went away.
  ///
  /// - Parameters:
  ///   - patience: how long for a host that is not there, or has no room for questions.
  ///   - endsWithConnection: of a deployment that ends with the connection, too.
  /// - Throws: `OwnerError.refused`, `.trainerGone`; what is answered by then is kept.
  package func run(
    over connection: TrainerConnection<Element>, patience: Duration, endsWithConnection: Bool = false
  ) throws -> QueryReport {
    let start = ContinuousClock.now
    try PredictionWriter.check(
      file: output, outputs: client.shape.outputs, tokens: Self.tokensOfRow(client, source))
    let partial = try PartialAnswers(place, subject, outputs: client.shape.outputs)
    self.partial = partial
    let before = min(source.rows, partial.answered * (partial.cut?.rowsPerQuestion ?? 1))
    if before > 0 { observe(.resumed(rows: before)) }
    // Nothing was sent, and so nothing is to be gone on with.
    defer { if partial.numbering == nil { try? partial.remove() } }
    let conversation = ClientConversation(
      connection: connection, patience: endsWithConnection ? nil : patience, partial: partial.path,
      isInterrupted: isInterrupted,
      observe: { [observe] event in
        switch event {
        case .waiting(let reason): observe(.waiting(reason))
        case .lost(let reason): observe(.lost(reason))
        case .back: observe(.back)
        }
      })
    var room = HostRoom(patience: patience)
    try conversation.run { try ask(over: connection, &room) }
    try write(partial)
    try partial.remove()
    return QueryReport(
      rows: source.rows, questions: partial.answered, seconds: start.duration(to: .now) / .seconds(1),
      rowsAsked: source.rows - before, rowsSeen: rowsSeen, maximumRows: terms?.maximumRows, keyNumber: client.keyNumber)
  }

  // MARK: - One connection

  /// Everything that is not answered yet, over one connection; from the first question that is missing again over the next.
  private func ask(over connection: TrainerConnection<Element>, _ room: inout HostRoom) throws {
    guard let partial else { return }
    let terms = try client.open(over: connection)
    if try client.adopt(terms) { observe(.rekeyed(client.keyNumber)) }
    self.terms = terms
    rowsSeen = terms.rowsSeen
    let cut = try cut(partial, terms)
    var window = QuestionWindow<AskedQuestion<Element>>(size: terms.window)
    var reader = try QuestionReader(
      source, from: partial.answered * cut.rowsPerQuestion, rowsPerQuestion: cut.rowsPerQuestion,
      standardization: client.material.standardization)
    var next = partial.answered
    while true {
      while window.hasRoom, !room.isAwaited, let content = try reader.question() {
        defer { next += 1 }
        if partial.isAnswered(next) { continue }
        try send(content, index: next, in: &window, over: connection)
      }
      if window.isEmpty, !room.isAwaited { break }
      do {
        if try receive(into: &window, over: connection) { room.noteAnswer() }
      } catch OwnerError.refused(.exhausted, let reason) {
        if try room.noteRefusal(reason) { observe(.waiting("the host answers: \(reason)")) }
      }
      let isAskedAgain = room.isToBeAskedAgain()
      if isAskedAgain || window.isToBeMaskedAgain {
        for waiting in window.takeUnanswered() {
          try send(waiting.content, index: waiting.index, in: &window, over: connection)
        }
      }
      if isInterrupted() { throw OwnerError.interrupted(step: 0) }
    }
    guard rowsDone == source.rows else { throw OwnerError.protocolViolation("questions that were never answered") }
  }

  /// Rows of a question: as many as the host takes, and a message with their outputs has room for.
  private func cut(_ partial: PartialAnswers, _ terms: DeploymentTerms) throws -> PartialAnswers.Cut {
    if let cut = partial.cut, (1...terms.rowsPerQuestion).contains(cut.rowsPerQuestion) { return cut }
    guard partial.isEmpty else {
      throw OwnerError.run(
        "\(partial.path) has answers to questions of more rows than the host takes now; delete it and begin again")
    }
    let longest = source.longest ?? 1
    if let maximum = terms.maximumTokens, longest > maximum {
      throw OwnerError.unfitData(
        "the data has a sample of \(longest) tokens, and the deployment takes at most \(maximum)")
    }
    let shape = client.shape
    let outputs = shape.outputs * (shape.task.isPerToken ? longest : 1)
    let bytes = max(outputs, longest * shape.input.width) * MemoryLayout<Element>.size
    guard bytes <= WireLimits().tensorBytes else {
      throw OwnerError.unfitData(
        "a sample of \(longest) tokens has \(ByteSize.decimalText(bytes)) of outputs, more than a message may have; shorten the texts"
      )
    }
    let cut = PartialAnswers.Cut(rowsPerQuestion: min(terms.rowsPerQuestion, WireLimits().tensorBytes / max(1, bytes)))
    try partial.set(cut)
    return cut
  }

  private func send(
    _ content: QuestionContent, index: Int, in window: inout QuestionWindow<AskedQuestion<Element>>,
    over connection: TrainerConnection<Element>
  ) throws {
    let number = try number(of: index)
    guard let partial, let cut = partial.cut else { throw OwnerError.run("no query is under way") }
    let (rows, delivery) = try client.mask(
      content, draw: partial.draw.number, first: index * cut.rowsPerQuestion)
    window.add(AskedQuestion(index: index, number: number, rows: rows, content: content, keys: client.keys))
    try connection.send(.question(.ask(number: number, keyNumber: client.keyNumber, rows: delivery)))
  }

  /// The number of a question: the same again under the same key, for the host to know that it is the same.
  private func number(of index: Int) throws -> Int {
    guard let partial else { throw OwnerError.run("no query is under way") }
    let kernel = OpenBLAS.kernelName
    let questions = (source.rows - 1) / max(1, partial.cut?.rowsPerQuestion ?? 1) + 1
    if let known = partial.numbering, known.keyNumber == client.keyNumber, known.kernel == kernel, index >= known.index,
      // After other queries of this client the host may not remember them.
      terms?.lastQuestion ?? 0 < known.first + (questions - known.index)
    {
      return known.first + (index - known.index)
    }
    let first = try takeNumbers(max(1, questions - index), terms?.lastNumber ?? 0)
    try partial.set(
      PartialAnswers.Numbering(index: index, first: first, keyNumber: client.keyNumber, kernel: kernel))
    return first
  }

  /// - Returns: whether a question was answered.
  private func receive(
    into window: inout QuestionWindow<AskedQuestion<Element>>, over connection: TrainerConnection<Element>
  ) throws -> Bool {
    guard let message = try connection.receive(timeout: .seconds(1)) else { return false }
    switch message {
    case .deployment(.answered(let number, let rowsSeen, let values)):
      self.rowsSeen = max(self.rowsSeen, rowsSeen)
      guard let asked = window.answer(number) else { return false }
      try use(values, of: asked)
      observe(.answered(rows: rowsDone, of: source.rows, rowsSeen: self.rowsSeen))
      return true
    case .deployment(.rekeyed(let terms)):
      if try client.adopt(terms) { observe(.rekeyed(client.keyNumber)) }
      self.terms = terms
      window.noteRefusedKey()
    case .removed: throw OwnerError.refused(kind: .refused, reason: "the deployment was taken down by its owner")
    default: break
    }
    return false
  }

  private var rowsDone: Int {
    guard let partial, let cut = partial.cut else { return 0 }
    return min(source.rows, partial.answered * cut.rowsPerQuestion)
  }

  private func use(_ values: Tensor<Element>, of asked: AskedQuestion<Element>) throws {
    let outputs = client.shape.outputs
    guard values.shape == [asked.rows.reduce(0) { $0 + $1.outputs }, outputs], values.allFinite else {
      throw OwnerError.protocolViolation("answers of shape \(values.shape), or that are not finite")
    }
    let plain = try asked.keys.unmaskOutputs(values)
    try partial?.add(asked.rows, plain, index: asked.index)
  }

  // MARK: - The result

  private func write(_ partial: PartialAnswers) throws {
    try written(partial).close()
  }

  private func isWhatIsThere(_ partial: PartialAnswers) throws -> Bool {
    try written(partial).isWhatIsThere()
  }

  /// All but finished; released without that it leaves nothing behind.
  private func written(_ partial: PartialAnswers) throws -> PredictionWriter {
    let writer = try PredictionWriter(
      file: output, task: client.shape.task, outputs: client.shape.outputs, tokens: Self.tokensOfRow(client, source))
    for index in 0..<partial.answered { try partial.forEachRows(of: index) { try writer.append($0) } }
    return writer
  }
}

/// A question that is sent.
private struct AskedQuestion<Element: FloatingElement>: NumberedQuestion {
  let index: Int
  let number: Int
  let rows: [PredictedRow]
  let content: QuestionContent
  /// What it is masked under: an answer may come after the key that follows.
  let keys: JobKeys<Element>
}
