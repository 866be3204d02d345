import ArgumentParser
import Foundation
import Foundations
import Numerics
import OwnerRole
import Protocol

struct RotateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rotate", abstract: "Put a new masking key of a deployment in the place of the old one.",
    discussion: """
      Masks the model again under a new key and uploads it; then all clients at once, or one with --client, are sent to the new copy, and the \
      old one is removed. Clients get the new key, sealed for each, from the host when they ask next: no question fails, and the old directories \
      of clients stay good. A client that was removed and knew the old key knows nothing of the new one.

      To a host that still has the old copy, two masked copies of one model give away how the keys differ (T₂T₁⁻¹).

      Example: encryptor rotate deployments/pbmc
      """)

  @OptionGroup var selected: DeploymentOption
  @OptionGroup var processing: ThreadsOption<OwnerWords>

  @Option(
    name: .customLong("client"), help: ArgumentHelp("Only this client, which gets a key of its own.", valueName: "name")
  )
  var client: String?

  func run() throws {
    try selected.use(compute: processing.compute) { deployment, host in
      let name = client.map { " --client \($0)" } ?? ""
      try deployment.begin("rotate\(name)") { try $0.rotate(client) }
      KernelNotice.show()
      let status = try DeploymentChange.bringIntoForce(&deployment, host)
      for line in DeploymentText.clients(deployment.record, status) { print(line) }
    }
  }
}

struct ClientsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "clients", abstract: "List, add or remove the clients of a deployment, and say how much they may ask.",
    discussion: """
      A client that is removed is refused from its next message on. With a key that it shares with others it still knows that key: \
      `encryptor rotate` gives the others a new one.

      Example: encryptor clients deployments/pbmc --add clinic=clinic.pub --remove ward
      """)

  @OptionGroup var selected: DeploymentOption
  @OptionGroup var processing: ThreadsOption<OwnerWords>

  @Option(
    name: .customLong("add"),
    help: ArgumentHelp("A client's name and its owner.pub (repeatable).", valueName: "name=file"))
  var added: [ClientArgument] = []

  @Option(name: .customLong("remove"), help: ArgumentHelp("A client's name (repeatable).", valueName: "name"))
  var removed: [String] = []

  @Option(
    help: ArgumentHelp(
      "Rows (of a model of tokens: tokens) of all clients from the beginning, after which no more is answered.",
      valueName: "n"))
  var maxRows: Int?

  func validate() throws {
    try RowLimit.check(maxRows)
  }

  func run() throws {
    try selected.use(compute: processing.compute) { deployment, host in
      guard !added.isEmpty || !removed.isEmpty || maxRows != nil else {
        for line in DeploymentText.clients(deployment.record, try host.status()) { print(line) }
        return
      }
      let new = try added.map { try $0.read() }
      // Where the command is given again may be elsewhere.
      let change =
        "clients"
        + added.map { " --add \($0.name)=\(URL(filePath: $0.file).standardizedFileURL.path)" }.joined()
        + removed.map { " --remove \($0)" }.joined() + (maxRows.map { " --max-rows \($0)" } ?? "")
      let before = deployment.record
      try deployment.begin(change) { deployment in
        for name in removed { try deployment.withdraw(name) }
        try deployment.admit(new)
        if let maxRows { deployment.limit(rows: maxRows) }
      }
      KernelNotice.show()
      let status = try DeploymentChange.bringIntoForce(&deployment, host)
      for line in DeploymentText.clients(deployment.record, status) { print(line) }
      for name in removed {
        guard let number = before.client(named: name)?.keyNumber,
          deployment.record.clients.contains(where: { $0.keyNumber == number })
        else { continue }
        StandardError.write(
          "\(name) still knows key \(number), which others have too: `encryptor rotate \(selected.deployment)` gives them a new one\n"
        )
      }
    }
  }
}

struct UndeployCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "undeploy", abstract: "Take a deployment down, and remove its masked weights from the host.",
    discussion: "Example: encryptor undeploy deployments/pbmc")

  @OptionGroup var selected: DeploymentOption

  func run() throws {
    try selected.use { deployment, host in
      // Not there: of a command that was killed after the host had removed it, or of a deployment of which nothing was sent.
      print(try deployment.takeDown(at: host) ? "taken down" : "the host has it no more")
    }
  }
}

struct DeploymentsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deployments", abstract: "List this owner's deployments at a trainer.",
    discussion: "Example: encryptor deployments --keys keys --trainer-key trainer.pub --trainer tcp://host:5570")

  @OptionGroup var keys: KeyOptions
  @OptionGroup var waiting: PatienceOption
  @OptionGroup var place: ListenOption<OwnerWords>

  @Option(help: ArgumentHelp("The trainer's address.", valueName: "address"))
  var trainer: String

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let list = try DeploymentHost.use(
      trainer, listen: place.listen, owner: try keys.owner(), hostKey: try keys.trainer().z85, id: .none,
      patience: waiting.patience, compute: Compute(threads: 1)
    ) { try $0.list() }
    if json {
      print(try JSONText.of(list))
    } else {
      for line in DeploymentText.list(list) { print(line) }
    }
  }
}

/// Brings a change into force and says how far it is.
enum DeploymentChange {
  /// - Parameters:
  ///   - checkingAll: as of `Deployment.bringIntoForce`.
  ///   - model: nil to read it where the record has it.
  static func bringIntoForce(
    _ deployment: inout Deployment<Float>, _ host: HostedDeployment<Float>, checkingAll: Bool = false,
    model: (() throws -> DeployableModel)? = nil
  ) throws -> DeploymentStatus {
    let source = deployment.record.source
    let progress = UploadProgress()
    do {
      return try deployment.bringIntoForce(
        at: host, checkingAll: checkingAll, model: { try model?() ?? open(source) }, observe: { progress.show($0) })
    } catch OwnerError.trainerGone(let what) {
      throw OwnerError.trainerGone("\(what). Everything is saved here: the same command goes on")
    }
  }

  static func open(_ source: ModelSource) throws -> DeployableModel {
    try source.open(warn: { StandardError.write("warning: \($0)\n") })
  }
}
