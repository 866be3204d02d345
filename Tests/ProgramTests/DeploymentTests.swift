import Foundation
import Testing
import TestSupport

@testable import Datasets

/// Models that are hosted, by the commands that a person gives.
@Suite(.waiting)
struct DeploymentTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
    for client in ["ward", "clinic"] { #expect(try site.encryptor("keygen", client).code == 0) }
  }

  private func deploy(_ trainer: String? = nil, _ options: String...) throws -> Ended {
    try site.run(
      .encryptor,
      [
        "deploy", "run", "--keys", "owner", "--trainer-key", "trainer/trainer.pub", "--out", "deployment", "--threads",
        "1", "--client", "ward=ward/owner.pub",
      ] + (trainer.map { ["--trainer", $0] } ?? []) + options)
  }

  private func query(_ out: String, client: String = "ward", keys: String? = nil, _ options: String...) throws -> Ended
  {
    try site.run(
      .encryptor,
      [
        "query", "deployment/clients/\(client)", "--keys", keys ?? client, "--data", "data.h5", "--out", out,
        "--threads",
        "1",
      ] + options)
  }

  private func outputs(_ file: String) throws -> [Float] {
    let source = try HDF5File(path: site[file]).openFeatures(path: "outputs")
    var values = [Float](repeating: 0, count: source.rows * source.columns)
    try values.withUnsafeMutableBufferPointer { try source.read(rows: 0..<source.rows, into: $0) }
    return values
  }

  @Test func aModelIsDeployedAskedChangedAndTakenDown() throws {
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 0)
    let predicted = try site.encryptor("predict", "run", "--data", "data.h5", "--out", "p.h5")
    #expect(predicted.code == 0, "\(predicted.errors)")
    let deployed = try deploy()
    #expect(deployed.code == 0, "\(deployed.errors)")
    #expect(deployed.output.hasSuffix("directories for the clients: \(site["deployment"])/clients\n"))
    let asked = try query("a.h5")
    #expect(asked.code == 0, "\(asked.errors)")
    #expect(
      asked.output.contains("60 rows in") && asked.output.contains("the host has seen 60 rows of this deployment"))
    // The run was trained there.
    #expect(asked.output.contains("and 60 rows of the model's training under another"))
    let (expected, found) = (try outputs("p.h5"), try outputs("a.h5"))
    #expect(expected.count == found.count && zip(expected, found).allSatisfy { abs($0 - $1) < 1e-4 })
    // The same command again finds everything in place.
    #expect(try deploy().code == 0)

    let changed = try site.encryptor(
      "clients", "deployment", "--add", "clinic=clinic/owner.pub", "--remove", "ward", "--threads", "1")
    #expect(changed.code == 0, "\(changed.errors)")
    #expect(!site.exists("deployment/clients/ward"))
    // Nobody else had the first key, which who was removed still knows.
    let report = try query("b.h5", client: "clinic", "--json")
    #expect(report.code == 0, "\(report.errors)")
    let json = try #require(try JSONSerialization.jsonObject(with: Data(report.output.utf8)) as? [String: Any])
    #expect(json["rows"] as? Int == 60 && json["rowsSeen"] as? Int == 120 && json["keyNumber"] as? Int == 2)

    let rotated = try site.encryptor("rotate", "deployment", "--threads", "1")
    #expect(rotated.code == 0, "\(rotated.errors)")
    #expect(!site.exists("deployment/keys/2.key") && site.exists("deployment/keys/3.key"))
    #expect(try query("c.h5", client: "clinic").code == 0)
    let listed = try site.encryptor(
      "deployments", "--keys", "owner", "--trainer-key", "trainer/trainer.pub", "--trainer", trainer.endpoint)
    #expect(listed.code == 0 && listed.output.contains("180"), "\(listed.output)\(listed.errors)")

    try FileManager.default.copyItem(atPath: site["deployment/clients/clinic"], toPath: site["given"])
    #expect(try site.encryptor("undeploy", "deployment").output == "taken down\n")
    #expect(!site.exists("deployment/keys/3.key") && !site.exists("deployment/clients/clinic/masking.key"))
    // The host lets it in no more.
    try site.encryptor(
      "query", "given", "--keys", "clinic", "--data", "data.h5", "--out", "d.h5", "--threads", "1", "--patience", "5"
    ).expectRefusal(6, saying: "its owner knows", afterProgress: true)
    try site.encryptor("rotate", "deployment").expectRefusal(2, saying: "is taken down")
  }

  @Test func aHostThatIsAway() throws {
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 0)
    try deploy(Site.unusedEndpoint(), "--patience", "0")
      .expectRefusal(5, saying: "the same command goes on", afterProgress: true)
    // Its record names the address that it was begun with.
    #expect(site.text("deployment/deployment.json").contains("\"inForce\" : 0"))
    // Another trainer is another deployment; the same one may be elsewhere.
    #expect(try site.run(.trainer, ["keygen", "other"]).code == 0)
    try site.encryptor(
      "deploy", "run", "--keys", "owner", "--trainer-key", "other/trainer.pub", "--out", "deployment", "--client",
      "ward=ward/owner.pub", "--trainer", trainer.endpoint
    ).expectRefusal(4, saying: "give that trainer's key", afterProgress: true)
    // A client's directory is made when the host has what it is for.
    try query("a.h5", "--patience", "0").expectRefusal(2, saying: "holds no client.json")
    // What a host would learn can be measured before it has anything.
    let audit = try site.run(.encryptor, ["audit", "deployment", "--minutes", "10"], seconds: 300)
    #expect(audit.code == 0, "\(audit.errors)")
    #expect(audit.output.contains("Copies under two keys") && audit.output.contains("Repeated questions"))
    #expect(audit.output.hasSuffix("report: \(site["audits/deployment-deployment/audit.html"])\n"))
    #expect(!audit.output.contains("--set"), "a deployment has no job to change")
    try site.encryptor("audit", "deployment", "--set", "train.epochs=1").expectRefusal(2, saying: "is a deployment")
    try site.encryptor("audit", "deployment", "--data", "nowhere.h5")
      .expectRefusal(3, saying: "nowhere.h5: there is no such file")
    try site.encryptor("audit", "job.yaml", "--rows", "100").expectRefusal(2, saying: "is no deployment")
    #expect(try site.encryptor("audit", "deployment", "--rows", "0").code == 2)
    // The host is found where it is now, and clients, too.
    let moved = try deploy(trainer.endpoint)
    #expect(moved.code == 0, "\(moved.errors)")
    #expect(try query("a.h5").code == 0)
  }

  @Test func rowsThatAreUsedUp() throws {
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 0)
    #expect(try deploy(nil, "--max-rows", "100").code == 0)
    #expect(try query("a.h5").code == 0)
    try query("b.h5").expectRefusal(6, saying: "100", afterProgress: true)
    try FileManager.default.linkItem(atPath: site["b.h5.partial"], toPath: site["kept"])
    // The owner allows more: what was answered counts on.
    #expect(try site.encryptor("clients", "deployment", "--max-rows", "0").code == 2)
    let changed = try site.encryptor("clients", "deployment", "--max-rows", "150", "--threads", "1")
    #expect(changed.code == 0, "\(changed.errors)")
    let asked = try query("b.h5")
    #expect(asked.code == 0 && asked.output.contains("At most 150 are answered"), "\(asked.output)\(asked.errors)")
    // As if it had been killed before its last act, which removes what it kept.
    try FileManager.default.moveItem(atPath: site["kept"], toPath: site["b.h5.partial"])
    let again = try query("b.h5")
    #expect(
      again.code == 0 && again.output.contains("60 rows: b.h5 was whole already"), "\(again.output)\(again.errors)")
    #expect(!site.exists("b.h5.partial"))
    try query("b.h5").expectRefusal(2, saying: "b.h5 is there already")
    try query("c.h5").expectRefusal(6, saying: "150", afterProgress: true)
    // Checked again without the option, and under another name.
    #expect(try deploy().code == 0)
    try deploy(nil, "--max-rows", "100").expectRefusal(2, saying: "made with other options", afterProgress: true)
  }

  @Test func whatCannotBeDeployed() throws {
    try deploy().expectRefusal(2, saying: "run holds no model")
    #expect(try site.run(.encryptor, site.launch(trainer: Site.unusedEndpoint(), ["--patience", "0"])).code == 5)
    try deploy().expectRefusal(2, saying: "the run is prepared, not finished", afterProgress: true)
    try deploy(nil, "--task", "classification").expectRefusal(2, saying: "leave --task and --head out")
    #expect(try deploy(nil, "--task", "clustering").errors.contains("invalid for '--task <task>'"))
    #expect(try deploy(nil, "--task", "clustering").code == 2)
    #expect(try deploy(nil, "--max-rows", "0").code == 2)
    try deploy(nil, "--client", "../x=ward/owner.pub").expectRefusal(2, saying: "a client's name")
    try deploy(nil, "--client", "x=nowhere.pub").expectRefusal(4, saying: "nowhere.pub")
    #expect(try deploy(nil, "--client", "x").code == 2)
  }

  @Test func whatCannotBeAsked() throws {
    try query("a.h5").expectRefusal(2, saying: "holds no client.json")
    try site.encryptor("rotate", "deployment").expectRefusal(2, saying: "holds no deployment")
    try site.encryptor("undeploy", "run").expectRefusal(2, saying: "holds no deployment")
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 0)
    #expect(try deploy().code == 0)
    try query("a.h5", keys: "clinic").expectRefusal(4, saying: "the client key", afterProgress: true)
    try query("data.h5").expectRefusal(2, saying: "data.h5 is there already")
    try DataFile(columns: 5).write(to: site["wide.h5"])
    try site.encryptor(
      "query", "deployment/clients/ward", "--keys", "ward", "--data", "wide.h5", "--out", "a.h5"
    ).expectRefusal(3, saying: "5 features, the model takes 4", afterProgress: true)
    // Nobody else's directory: a stranger to the host.
    #expect(try site.encryptor("keygen", "stranger").code == 0)
    let key = site.text("stranger/owner.pub").split(separator: "\n").last ?? ""
    let own = site.text("ward/owner.pub").split(separator: "\n").last ?? ""
    // As JSON has them.
    func escaped(_ key: Substring) -> Substring { key.replacing("/", with: #"\/"#) }
    try site.write(
      site.text("deployment/clients/ward/client.json").replacing(escaped(own), with: escaped(key)),
      to: "deployment/clients/ward/client.json")
    try query("a.h5", keys: "stranger", "--patience", "60")
      .expectRefusal(6, saying: "does not let this client in", "its owner knows", afterProgress: true)
  }
}

/// A federation's model, hosted by one of its sites.
@Suite(.waiting)
struct SiteDeploymentTests {
  @Test func aSitesRunIsAskedAtATrainer() throws {
    let parties = try FederationParties()
    let site = parties.site
    try parties.simulate()
    #expect(try site.run(.trainer, ["keygen", "trainer"]).code == 0)
    try site.write(site.text("a/owner.pub").split(separator: "\n").last.map { "\($0)\n" } ?? "", to: "owners.txt")
    let trainer = try site.startTrainer()
    try site.encryptor("predict", "simulated/a", "--data", "b.h5", "--features", "X", "--out", "p.h5")
      .expectRefusal(2, saying: "knows no trainer")
    let options = ["--keys", "a", "--trainer-key", "trainer/trainer.pub", "--trainer", trainer.endpoint]
    let predicted = try site.run(
      .encryptor, ["predict", "simulated/a", "--data", "b.h5", "--features", "X", "--out", "p.h5"] + options)
    #expect(predicted.code == 0, "\(predicted.errors)")
    #expect(predicted.output == "65 rows: p.h5\n")
    let deployed = try site.run(.encryptor, ["deploy", "simulated/a", "--out", "deployment"] + options)
    #expect(deployed.code == 0, "\(deployed.errors)")
    let asked = try site.encryptor(
      "query", "deployment/clients/owner", "--keys", "a", "--data", "b.h5", "--features", "X", "--out", "q.h5")
    #expect(asked.code == 0, "\(asked.errors)")
    // The federation's job masks nothing here; what is hosted is masked all the same.
    #expect(site.text("deployment/deployment.json").contains("\"group\" : \"orthogonal\""))
  }
}
