package import Numerics

/// What the owner of a deployment asks for. The envelope's job is the deployment; of `list` it is none.
package enum DeploymentRequest: Sendable, Equatable {
  /// Puts a deployment in force whose copies are uploaded, or changes it: all at once, between two questions. Copies that nobody is sent to
  /// any more are removed. Answered by `.deployed`.
  case deploy(DeploymentDescription)
  /// Answered by `.deployed`.
  case status
  /// All of this owner. Answered by `.list`.
  case list
  /// Takes it down, with its copies. Answered by `removed`.
  case undeploy

  static let kinds: ClosedRange<UInt8> = 25...28

  var code: UInt8 {
    switch self {
    case .deploy: 25
    case .status: 26
    case .list: 27
    case .undeploy: 28
    }
  }

  func write(to envelope: inout Envelope) {
    if case .deploy(let description) = self { envelope.writeJSON(description) }
  }

  init(from envelope: inout OpenedEnvelope) throws(WireError) {
    switch envelope.kind {
    case 25:
      let description: DeploymentDescription = try envelope.readJSON("deployment")
      try description.validate()
      self = .deploy(description)
    case 26: self = .status
    case 27: self = .list
    case 28: self = .undeploy
    default: throw .malformed("an unknown kind of message")
    }
  }
}

/// Numbers of questions and sessions: on the wire, and in what a host writes down of them.
package enum QuestionNumbers {
  /// Sums of many stay far from overflow.
  package static let largest = 1 << 52
}

/// What a client asks of a deployment. All numbers in it are masked.
package enum ClientRequest<Element: FloatingElement>: Sendable, Equatable {
  /// Answered by `.opened`.
  case open
  /// Rows, or sequences, to be answered by the outputs. A number that was used before is answered again for the same rows, counted once, and
  /// refused with others. Answered by `.answered`, or `.rekeyed` where `keyNumber` is not in force any more.
  case ask(number: Int, keyNumber: Int, rows: RowDelivery<Element>)
  /// Tokens of a text, appended to what the host keeps of it from `position` on: all of the prompt first (position 0 begins the session
  /// anew), then one by one.
  /// `largest`: how many outputs of the last token are wanted, the largest ones; 0 for all. Answered by `.extended`.
  case extend(session: Int, keyNumber: Int, position: Int, largest: Int, tokens: Tensor<Element>)
  /// The session's keys and values may go. Not answered.
  case close(session: Int)

  /// Whether it is a question, and not only about one.
  package var isQuestion: Bool {
    switch self {
    case .ask, .extend: true
    case .open, .close: false
    }
  }

  static var kinds: ClosedRange<UInt8> { 29...32 }

  var code: UInt8 {
    switch self {
    case .open: 29
    case .ask: 30
    case .extend: 31
    case .close: 32
    }
  }

  func write(to envelope: inout Envelope) {
    switch self {
    case .open: break
    case .ask(let number, let keyNumber, let rows):
      envelope.write(number, keyNumber)
      rows.attach(to: &envelope)
    case .extend(let session, let keyNumber, let position, let largest, let tokens):
      envelope.write(session, keyNumber, position, largest)
      envelope.attach(values: tokens)
    case .close(let session): envelope.write(session)
    }
  }

  init(from envelope: inout OpenedEnvelope) throws(WireError) {
    switch envelope.kind {
    case 29: self = .open
    case 30:
      let number = try envelope.fields.readIndex()
      let keyNumber = try envelope.fields.readIndex()
      let rows = try RowDelivery<Element>(from: &envelope)
      guard (1...QuestionNumbers.largest).contains(number), rows.count >= 1,
        rows.carried.elements.allSatisfy({ $0 == 1 })
      else { throw .malformed("a question without a number of 1 … 2^52, or without all of its rows") }
      self = .ask(number: number, keyNumber: keyNumber, rows: rows)
    case 31:
      let session = try envelope.fields.readIndex()
      let keyNumber = try envelope.fields.readIndex()
      let position = try envelope.fields.readIndex()
      let largest = try envelope.fields.readIndex()
      let tokens: Tensor<Element> = try envelope.takeValues("tokens")
      guard session <= QuestionNumbers.largest, tokens.rows >= 1 else {
        throw .malformed("a session beyond the number 2^52, or one that is extended by no token")
      }
      self = .extend(session: session, keyNumber: keyNumber, position: position, largest: largest, tokens: tokens)
    case 32: self = .close(session: try envelope.fields.readIndex())
    default: throw .malformed("an unknown kind of message")
    }
  }
}

/// What a trainer tells owners and clients of deployments. All numbers in it are masked.
package enum DeploymentAnswer<Element: FloatingElement>: Sendable, Equatable {
  case deployed(DeploymentStatus)
  case list([DeploymentStatus])
  case opened(DeploymentTerms)
  /// `rowsSeen` of this deployment under all keys, with these rows; of a model of tokens its tokens.
  case answered(number: Int, rowsSeen: Int, values: Tensor<Element>)
  /// `position`: tokens that the session has now. `indices`: [k] outputs that `values`, [1, k], are of; empty where all are there.
  case extended(session: Int, position: Int, rowsSeen: Int, indices: Tensor<Int32>, values: Tensor<Element>)
  /// The host does not have the session, or not up to that token: it was restarted, or wanted the memory. To be sent again from position 0.
  case sessionLost(session: Int)
  /// Asked under a key that is not in force any more: the terms with the one that is. The question is to be sent again.
  case rekeyed(DeploymentTerms)

  static var kinds: ClosedRange<UInt8> { 118...124 }

  var code: UInt8 {
    switch self {
    case .deployed: 118
    case .list: 119
    case .opened: 120
    case .answered: 121
    case .extended: 122
    case .sessionLost: 123
    case .rekeyed: 124
    }
  }

  func write(to envelope: inout Envelope) {
    switch self {
    case .deployed(let status): envelope.writeJSON(status)
    case .list(let list): envelope.writeJSON(list)
    case .opened(let terms), .rekeyed(let terms): envelope.writeJSON(terms)
    case .answered(let number, let rowsSeen, let values):
      envelope.write(number, rowsSeen)
      envelope.attach(values: values)
    case .extended(let session, let position, let rowsSeen, let indices, let values):
      envelope.write(session, position, rowsSeen)
      envelope.attach(indices)
      envelope.attach(values: values)
    case .sessionLost(let session): envelope.write(session)
    }
  }

  init(from envelope: inout OpenedEnvelope) throws(WireError) {
    switch envelope.kind {
    case 118: self = .deployed(try envelope.readJSON("status of a deployment", of: DeploymentStatus.self).printable)
    case 119: self = .list(try envelope.readJSON("list of deployments", of: [DeploymentStatus].self).map(\.printable))
    case 120: self = .opened(try envelope.readJSON("terms of a deployment"))
    case 121:
      self = .answered(
        number: try envelope.fields.readIndex(), rowsSeen: try envelope.fields.readIndex(),
        values: try envelope.takeValues("outputs"))
    case 122:
      let session = try envelope.fields.readIndex()
      let position = try envelope.fields.readIndex()
      let rowsSeen = try envelope.fields.readIndex()
      let indices: Tensor<Int32> = try envelope.takeTensor("indices of outputs", rank: 1...1)
      let values: Tensor<Element> = try envelope.takeValues("outputs")
      guard values.rows == 1, indices.count == 0 || indices.count == values.columns else {
        throw .misshapen("outputs that their indices do not fit")
      }
      self = .extended(
        session: session, position: position, rowsSeen: rowsSeen, indices: indices, values: values)
    case 123: self = .sessionLost(session: try envelope.fields.readIndex())
    case 124: self = .rekeyed(try envelope.readJSON("terms of a deployment"))
    default: throw .malformed("an unknown kind of message")
    }
  }
}
