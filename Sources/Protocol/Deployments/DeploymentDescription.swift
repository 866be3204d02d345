package import Foundation
package import Foundations

/// What an owner has a trainer host: masked copies of one model, each a job of purpose `.hosting`, and the keys that may ask them. No
/// client is named here, and no key of the scheme is readable here.
///
/// As JSON in messages and in the trainer's store. A key that is added needs a new `WireVersion`.
package struct DeploymentDescription: Sendable, Equatable, Codable {
  package static let maximumClients = 2000
  /// Bytes of a sealed package: a master key with a few numbers, which has 144. As many clients with as large packages as may be still fit a
  /// message's header.
  package static let maximumPackageBytes = 192

  /// One who may ask.
  package struct Client: Sendable, Equatable, Codable {
    /// The z85 form of its CURVE public key.
    package var key: String
    /// The job of purpose `.hosting` whose weights are masked under its key.
    package var copy: JobID
    /// Which of the deployment's keys that copy is masked under, counted from 1: a rotation takes the next.
    package var keyNumber: Int
    /// The masking key, sealed by the owner for this client alone: handed out when it asks under an older one.
    package var package: Data

    package init(key: String, copy: JobID, keyNumber: Int, package: Data) {
      self.key = key
      self.copy = copy
      self.keyNumber = keyNumber
      self.package = package
    }
  }

  /// Changes by the owner, counted from 1. An older one is refused where a newer one is in force.
  package var revision: Int
  package var clients: [Client]
  /// Rows of all clients under all keys, of a model of tokens its tokens, after which no more is answered; nil for no limit.
  package var maximumRows: Int?
  /// Whether it is taken down when the connection that made it is gone: of a prediction.
  package var endsWithOwner: Bool

  package init(revision: Int, clients: [Client], maximumRows: Int?, endsWithOwner: Bool = false) {
    self.revision = revision
    self.clients = clients
    self.maximumRows = maximumRows
    self.endsWithOwner = endsWithOwner
  }

  /// The copies that clients are sent to.
  package var copies: Set<JobID> { Set(clients.map(\.copy)) }

  /// - Throws: `WireError.invalidJob` that names what is out of its range.
  package func validate() throws(WireError) {
    guard (1...(1 << 40)).contains(revision) else { throw .invalidJob("the revision of a deployment counts from 1") }
    guard clients.count <= Self.maximumClients else {
      throw .invalidJob("a deployment has at most \(Self.maximumClients) clients, not \(clients.count)")
    }
    if let maximumRows, !(1...(1 << 50)).contains(maximumRows) {
      throw .invalidJob("the most rows of a deployment must be 1 … 2^50")
    }
    var keys: Set<String> = []
    for client in clients {
      guard OwnerKey(z85: client.key) != nil else { throw .invalidJob("a client's key that is none") }
      guard keys.insert(client.key).inserted else { throw .invalidJob("a client's key twice") }
      guard client.copy != .none else { throw .invalidJob("a client without a copy of the model") }
      guard (1...(1 << 40)).contains(client.keyNumber) else { throw .invalidJob("a key's number counts from 1") }
      guard client.package.count <= Self.maximumPackageBytes else {
        throw .invalidJob(
          "a sealed key of \(client.package.count) bytes; at most \(Self.maximumPackageBytes) are taken")
      }
    }
  }
}

/// What an owner is told of a deployment of its own.
package struct DeploymentStatus: Sendable, Equatable, Codable {
  /// What one client has asked.
  package struct Client: Sendable, Equatable, Codable {
    /// The z85 form of its CURVE public key.
    package var key: String
    package var keyNumber: Int
    package var questions: Int
    /// Rows, of a model of tokens its tokens, that it has sent.
    package var rows: Int

    package init(key: String, keyNumber: Int, questions: Int, rows: Int) {
      self.key = key
      self.keyNumber = keyNumber
      self.questions = questions
      self.rows = rows
    }
  }

  package var id: JobID
  package var revision: Int
  /// Empty in a list of deployments, which has their number alone.
  package var clients: [Client]
  package var clientCount: Int?
  /// All that were ever answered, of clients that are withdrawn, too.
  package var questions: Int
  package var rows: Int
  package var maximumRows: Int?
  /// Bytes of its copies in the store, and of those that are in memory now.
  package var storedBytes: Int
  package var memoryBytes: Int
  /// Milliseconds from a question's arrival to its answer, of the last thousand questions; nil before the first since the trainer was started.
  package var medianMilliseconds: Double?
  package var slowMilliseconds: Double?
  /// The name of a file of its that the host cannot use, so that no question is answered; nil while it is served.
  package var damaged: String?

  package init(
    id: JobID, revision: Int, clients: [Client], questions: Int, rows: Int, maximumRows: Int?, storedBytes: Int,
    memoryBytes: Int, medianMilliseconds: Double?, slowMilliseconds: Double?, damaged: String? = nil
  ) {
    self.id = id
    self.revision = revision
    self.clients = clients
    clientCount = clients.count
    self.damaged = damaged
    self.questions = questions
    self.rows = rows
    self.maximumRows = maximumRows
    self.storedBytes = storedBytes
    self.memoryBytes = memoryBytes
    self.medianMilliseconds = medianMilliseconds
    self.slowMilliseconds = slowMilliseconds
  }

  /// As lists have it: so many clients as there may be do not fit a message for several deployments.
  package var withoutClients: DeploymentStatus {
    var status = self
    status.clients = []
    return status
  }

  /// The status with its texts as they may be shown.
  var printable: DeploymentStatus {
    var status = self
    for index in clients.indices {
      status.clients[index].key = clients[index].key.printable(limit: WireLimits.nameLength)
    }
    status.damaged = damaged?.printable(limit: WireLimits.nameLength)
    return status
  }
}

/// What a client is told of the deployment when it opens it.
package struct DeploymentTerms: Sendable, Equatable, Codable {
  package var keyNumber: Int
  /// The masking key of that number, sealed by the owner for this client.
  package var package: Data
  /// Questions that may be unanswered at a time, at least 1.
  package var window: Int
  /// Rows, or sequences, of one question.
  package var rowsPerQuestion: Int
  /// Tokens of a sample, and of a session of generation with its answer; nil for models of rows.
  package var maximumTokens: Int?
  /// Rows, of a model of tokens its tokens, that the host has seen of this deployment under all keys, and how many it may see.
  package var rowsSeen: Int
  package var maximumRows: Int?
  /// The largest number of a question that this client has had answered; 0 for none. The next is to be larger.
  package var lastQuestion: Int
  /// The same of its sessions, under whatever key; nil from a host that does not say.
  package var lastSession: Int?
  /// Behind which numbers are new for questions and for sessions: a client numbers both together.
  package var lastNumber: Int { max(lastQuestion, lastSession ?? 0) }

  package init(
    keyNumber: Int, package: Data, window: Int, rowsPerQuestion: Int, maximumTokens: Int?, rowsSeen: Int,
    maximumRows: Int?, lastQuestion: Int, lastSession: Int? = nil
  ) {
    self.keyNumber = keyNumber
    self.package = package
    self.window = window
    self.rowsPerQuestion = rowsPerQuestion
    self.maximumTokens = maximumTokens
    self.rowsSeen = rowsSeen
    self.maximumRows = maximumRows
    self.lastQuestion = lastQuestion
    self.lastSession = lastSession
  }
}
