import Foundations
import Models
import Numerics
import Protocol
import Service
import Training

/// What clients ask.
extension Deployments {
  func handle(
    _ request: ClientRequest<Element>, of id: JobID, from peer: PeerID, in service: TrainingService
  ) throws {
    let key = peer.ownerKey
    guard let deployment = all[id], isServed(deployment, in: service), deployment.isAdmitted(key) else {
      throw ServiceError.noSuchJob(at: TrainerConfiguration.program)
    }
    if let problem = deployment.problem { throw problem.refusal }
    guard let client = deployment.clients[key], let copy = copy(of: client, deployment, in: service) else {
      throw ServiceError.damagedDeployment("its copy of the model")
    }
    let asker = Asker(deployment: id, key: key)
    connections.hears(asker, on: peer, asks: request.isQuestion)
    let place = Place(deployment: deployment, asker: asker, client: client, copy: copy, peer: peer)
    switch request {
    case .open: service.send(.deployment(.opened(terms(place))), job: id, to: peer)
    case .ask(let number, let keyNumber, let rows):
      guard isInForce(keyNumber, place, in: service) else { return }
      try ask(number, rows, at: place, in: service)
    case .extend(let session, let keyNumber, let position, let largest, let tokens):
      guard isInForce(keyNumber, place, in: service) else { return }
      try extend(session, position: position, largest: largest, tokens, at: place, in: service)
    case .close(let session):
      let id = SessionID(key, keyNumber: client.keyNumber, number: session)
      worker?.add(InferenceTask(ticket: InferenceTask<Element>.noTicket, copy: copy, work: .end(asker, id)))
    }
  }

  /// Who asks what of which copy.
  private struct Place {
    let deployment: Deployment
    let asker: Asker
    let client: DeploymentDescription.Client
    let copy: HostedCopy
    let peer: PeerID

    var description: JobDescription { copy.job.description }
  }

  private func copy(
    of client: DeploymentDescription.Client, _ deployment: Deployment, in service: TrainingService
  ) -> HostedCopy? {
    guard isCopy(client.copy, of: deployment.owner, in: service), let record = service.jobs[client.copy] else {
      return nil
    }
    return HostedCopy(job: record.stored, store: service.store)
  }

  private func terms(_ place: Place) -> DeploymentTerms {
    place.deployment.terms(
      for: place.asker.key, place.client, copy: place.description, window: Self.window)
  }

  /// Otherwise the client is told which key is.
  private func isInForce(_ keyNumber: Int, _ place: Place, in service: TrainingService) -> Bool {
    if keyNumber == place.client.keyNumber { return true }
    service.send(.deployment(.rekeyed(terms(place))), job: place.deployment.id, to: place.peer)
    return false
  }

  // MARK: - Questions

  private func ask(
    _ number: Int, _ rows: RowDelivery<Element>, at place: Place, in service: TrainingService
  ) throws {
    try Self.check(rows, for: place.description)
    let answerBytes = try bytesOfAnswer(to: rows, place.description)
    // Sent again while it is computed: answered where it came from last.
    let isSame: (OpenQuestion<Element>.Content) -> Bool = { content in
      if case .ask(number, _, _) = content { return true }
      return false
    }
    let keyNumber = place.client.keyNumber
    let content = OpenQuestion<Element>.Content.ask(number: number, keyNumber: keyNumber, rows: rows)
    if let known = open.ticket(of: place.asker, where: isSame) {
      if known.content == content { return open.redirect(known.ticket, to: place.peer) }
      guard case .ask(_, ..<keyNumber, _) = known.content else { throw ServiceError.otherRows("question \(number)") }
      // Asked under the key before, and masked anew under this one.
      drop([known.ticket])
    }
    let book = place.deployment.book
    // Of sequences every token counts: each is a masked vector of its own.
    var newRows = rows.values.rows
    switch book.standing(of: number, keyNumber: keyNumber, client: place.asker.key) {
    case .new: break
    case .answered(let digest):
      guard digest == rows.digest else { throw ServiceError.otherRows("question \(number)") }
      newRows = 0
    case .forgotten:
      throw ServiceError.refused(
        "question \(number) comes after question \(book.lastQuestion(of: place.asker.key)) was answered, and what was asked under so "
          + "old a number is not kept: number questions upwards", cause: .otherRows)
    }
    try add(content, newRows: newRows, work: .rows(rows), answerBytes: answerBytes, at: place, in: service)
  }

  /// Within the client's window and what the deployment may still answer.
  private func add(
    _ content: OpenQuestion<Element>.Content, newRows: Int, work: InferenceTask<Element>.Work, answerBytes: Int,
    at place: Place, in service: TrainingService
  ) throws {
    guard open.count(of: place.asker) < Self.window else {
      throw ServiceError.refused(
        "\(Self.window) questions of this client are unanswered, as many as may be; ask again after an answer",
        cause: .window)
    }
    guard content.bytes <= configuration.deploymentMemory / 4 - open.bytes || open.isEmpty else {
      throw ServiceError(
        .exhausted, "more questions of all clients wait here than memory is set aside for; ask again later",
        cause: .window)
    }
    if let most = place.deployment.description.maximumRows, newRows > 0 {
      let seen = place.deployment.book.rows
      let left = most - seen - open.newRows(of: place.asker.deployment)
      guard newRows <= left else {
        let noun = place.description.graph.maximumTokens == nil ? "rows" : "tokens"
        throw ServiceError.refused(
          "this deployment answers \(most) \(noun) in all (--max-rows), \(seen) are answered and \(max(0, left)) left, and this question has "
            + "\(newRows); ask its owner", cause: .rowsUsedUp)
      }
    }
    let ticket = open.add(
      OpenQuestion(
        asker: place.asker, copy: place.client.copy, content: content, newRows: newRows, peer: place.peer, arrival: .now
      ))
    credit.add(
      InferenceTask(ticket: ticket, copy: place.copy, work: work), of: place.asker, answerBytes: answerBytes)
    handOut(in: service)
  }

  /// Gives the worker what may be computed now.
  func handOut(in service: TrainingService) {
    let tasks = credit.next { asker in
      connections.connections(of: asker).reduce(0) { $0 + service.unreadBytes(of: $1) }
    }
    for task in tasks { worker?.add(task) }
  }

  /// - Throws: `WireError` for rows that the model does not take, or more than a question may have.
  private static func check(_ rows: RowDelivery<Element>, for description: JobDescription) throws {
    guard rows.count <= description.microBatch else {
      throw WireError.oversized(what: "question", size: rows.count, limit: description.microBatch)
    }
    let width = description.graph.input.width
    if let maximumTokens = description.graph.maximumTokens {
      return try SequenceRows(width: width, maximumTokens: maximumTokens).check(rows, slotLimit: .max)
    }
    guard !rows.hasSequences else { throw WireError.misshapen("samples of several tokens for a model of rows") }
    guard rows.values.columns == width else {
      throw WireError.misshapen("rows are \(rows.values.columns) wide, the model's input is \(width)")
    }
    guard rows.values.allFinite else { throw WireError.notFinite("a masked row") }
  }

  /// - Throws: `ServiceError` where the outputs would not fit a message.
  private func bytesOfAnswer(to rows: RowDelivery<Element>, _ description: JobDescription) throws -> Int {
    let graph = description.graph
    let limit = configuration.service.limits.tensorBytes
    let outputs = [graph.hasOutputsByToken ? rows.values.rows : rows.count, graph.output.width]
    guard let bytes = Shape.byteCount(outputs, Element.elementType), bytes <= limit else {
      throw ServiceError.refused(
        "the answer would take \(ByteSize.binaryText(Shape.byteCount(outputs, Element.elementType))), a message holds "
          + "\(ByteSize.binaryText(limit)); ask with fewer samples, or shorter ones")
    }
    return bytes
  }

  // MARK: - Sessions

  private func extend(
    _ session: Int, position: Int, largest: Int, _ tokens: Tensor<Element>, at place: Place,
    in service: TrainingService
  ) throws {
    let graph = place.description.graph
    guard let maximumTokens = graph.maximumTokens, graph.hasOutputsByToken else {
      throw ServiceError.refused("this deployment's model generates no text: it has no outputs for each token")
    }
    guard tokens.columns == graph.input.width else {
      throw WireError.misshapen("tokens are \(tokens.columns) wide, the model's input is \(graph.input.width)")
    }
    guard position <= maximumTokens, tokens.rows <= maximumTokens - position else {
      throw ServiceError.refused(
        "a session of \(position.addingReportingOverflow(tokens.rows).partialValue) tokens; this model goes up to \(maximumTokens)"
      )
    }
    guard tokens.allFinite else { throw WireError.notFinite("a masked token") }
    let id = SessionID(place.asker.key, keyNumber: place.client.keyNumber, number: session)
    let content = OpenQuestion<Element>.Content.extend(id, position: position, largest: largest, tokens: tokens)
    let isSame: (OpenQuestion<Element>.Content) -> Bool = { content in
      if case .extend(id, _, _, _) = content { return true }
      return false
    }
    if let known = open.ticket(of: place.asker, where: isSame) {
      guard known.content == content else {
        throw WireError.outOfOrder("tokens of a session whose last tokens are not answered")
      }
      return open.redirect(known.ticket, to: place.peer)
    }
    guard let marks = place.deployment.book.marks(of: id) else {
      throw ServiceError.refused(
        "session \(session) is older than those that are kept: number sessions upwards", cause: .otherRows)
    }
    try add(
      content, newRows: max(0, position + tokens.rows - marks.tokens),
      work: .tokens(
        SessionStep(
          asker: place.asker, id: id, position: position, largest: largest, tokens: tokens, marks: marks)),
      answerBytes: graph.output.width * MemoryLayout<Element>.stride, at: place, in: service)
  }

  // MARK: - Answers

  /// Sends what the worker has computed, each question written down first.
  func takeWork(in service: TrainingService) {
    for result in worker?.takeResults() ?? [] {
      credit.end(result.ticket)
      guard let question = open.remove(result.ticket) else { continue }
      do {
        try answer(question, with: result.outcome, in: service)
      } catch {
        service.refuse(error, job: question.asker.deployment, to: question.peer)
      }
    }
    handOut(in: service)
    dropRetired(in: service)
  }

  private func answer(
    _ question: OpenQuestion<Element>, with outcome: InferenceResult<Element>.Outcome, in service: TrainingService
  ) throws {
    guard let deployment = all[question.asker.deployment] else { return }
    let answer: DeploymentAnswer<Element>
    switch (outcome, question.content) {
    case (.failed(let error), _): throw error
    case (.outputs(let values, let digest), .ask(let number, let keyNumber, let rows)):
      if question.newRows > 0 {
        try deployment.count(
          .question(
            client: question.asker.key, keyNumber: keyNumber, number: number, digest: digest,
            rows: rows.values.rows))
      }
      answer = .answered(number: number, rowsSeen: deployment.book.rows, values: values)
    case (.extended(let values, let indices, let place, let tokens), .extend(let id, _, _, _)):
      if let place { try deployment.count(.session(id, tokens: place.tokens, digest: place.digest)) }
      answer = .extended(
        session: id.order.number, position: tokens, rowsSeen: deployment.book.rows, indices: indices, values: values)
    case (.sessionLost, .extend(let id, _, _, _)): answer = .sessionLost(session: id.order.number)
    default: throw ServiceError(.defect, "an answer to another question")
    }
    deployment.latencies.add(question.arrival.duration(to: .now))
    configuration.deploymentMetrics.countQuestion(rows: question.newRows, after: question.arrival.duration(to: .now))
    service.send(
      .deployment(answer), job: question.asker.deployment, to: question.peer,
      narrowingValues: service.jobs[question.copy]?.stored.description.narrowsValues ?? false)
  }
}
