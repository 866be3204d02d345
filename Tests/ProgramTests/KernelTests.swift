import Foundation
import Testing
import TestSupport

/// OpenBLAS's kernel for this processor's features, as Linux lists them; nil without AVX2.
private let kernelOfFeatures: String? = {
  let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
  let line = text.split(separator: "\n").first { $0.hasPrefix("flags") } ?? ""
  let flags = Set(line.split(separator: " ").map(String.init))
  if flags.isSuperset(of: ["avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"]) { return "SkylakeX" }
  return flags.isSuperset(of: ["avx2", "fma"]) ? "Haswell" : nil
}()

/// On a processor that OpenBLAS's table of models lacks, both programs multiply with the kernel of the processor's features.
///
/// The miss is made by a library loaded before the programs' own, whose `getenv` answers OpenBLAS, and nobody else, as if the slow kernel
/// were asked for: OpenBLAS then really comes up with it, and the environment that the programs read does not show it.
@Suite(.waiting, .enabled(if: kernelOfFeatures != nil, "the processor has neither AVX2 nor AVX-512"))
struct KernelTests {
  private static let source = """
    #include <stdlib.h>
    #include <string.h>
    extern char **environ;
    char *getenv(const char *name) {
      size_t length = strlen(name);
      char *value = NULL;
      for (char **entry = environ; entry && *entry; entry++)
        if (!strncmp(*entry, name, length) && (*entry)[length] == '=') value = *entry + length + 1;
      if (!strcmp(name, "OPENBLAS_CORETYPE") && (!value || !*value)) return "Prescott";
      return value;
    }
    """

  private let site: Site
  private let environment: [String: String]
  private let chosen: String

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
    try site.write(Self.source, to: "miss.c")
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/env")
    compiler.arguments = ["cc", "-shared", "-fPIC", "-o", site["miss.so"], site["miss.c"]]
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0, "cc cannot build a shared library")
    // Empty counts as not set; the tests' own environment may force a kernel.
    environment = ["LD_PRELOAD": site["miss.so"], "OPENBLAS_CORETYPE": ""]
    chosen = "\(try #require(kernelOfFeatures)), chosen by the processor's features instead of Prescott"
  }

  @Test func aProcessorThatTheBLASDoesNotKnowGetsItsOwnKernel() throws {
    let trainer = try site.startTrainer(environment: environment)
    #expect(Waiting.until(10) { trainer.process.errors.contains(chosen) }, "\(trainer.process.errors)")
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint), environment: environment)
    #expect(try owner.wait() == 0, "\(owner.errors)")
    #expect(owner.errors.contains("kernel \(chosen)\n"), "\(owner.errors)")
    // It is still the process that was started: a signal stops it, and its exit code arrives.
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait(seconds: 30) == 0)
  }

  @Test(arguments: [["plan", "job.yaml"], ["plan", "job.yaml", "--json"], ["verify", "job.yaml", "--steps", "2"]])
  func everyCommandThatMultipliesSaysWithWhat(_ arguments: [String]) throws {
    let missed = try site.end(try site.start(.encryptor, arguments, environment: environment))
    #expect(missed.code == 0, "\(missed.errors)")
    #expect(missed.errors.contains("kernel \(chosen)\n"), "\(missed.errors)")
    #expect(!missed.output.contains("kernel"), "results stay as they are")
  }

  @Test func aKernelThatTheUserSetIsKept() throws {
    var environment = environment
    environment["OPENBLAS_CORETYPE"] = "Nehalem"
    let ended = try site.end(try site.start(.encryptor, ["plan", "job.yaml"], environment: environment))
    #expect(ended.code == 0 && ended.errors.contains("kernel Nehalem, set by OPENBLAS_CORETYPE\n"), "\(ended.errors)")
    #expect(ended.errors.contains("OPENBLAS_CORETYPE=Nehalem forces it; unset the variable"), "\(ended.errors)")
  }

  /// A run under one kernel that goes on under another says so and comes to its end; one made before kernels were kept goes on without
  /// a word.
  @Test(arguments: [true, false])
  func aRunWhoseKeysAnotherKernelMadeSaysSo(_ isKept: Bool) throws {
    let endpoint = Site.unusedEndpoint()
    let first = try site.start(
      .encryptor, site.launch(trainer: endpoint, ["--patience", "0"]), environment: ["OPENBLAS_CORETYPE": "Nehalem"])
    #expect(try first.wait() == 5)
    #expect(!first.errors.contains("keys were made"))
    let state = try #require(
      JSONSerialization.jsonObject(with: try site.bytes("run/state/run.json")) as? [String: Any])
    #expect((state["keyExpansion"] as? [String: Any])?["kernel"] as? String == "Nehalem")
    if !isKept {
      let old = try JSONSerialization.data(withJSONObject: state.filter { $0.key != "keyExpansion" })
      try old.write(to: URL(filePath: site["run/state/run.json"]))
    }
    let trainer = try site.startTrainer(bind: endpoint)
    let resumed = try site.start(
      .encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]), environment: environment)
    #expect(try resumed.wait() == 0, "\(resumed.errors)")
    let notice =
      "the run's keys were made with OpenBLAS's kernel Nehalem, and are made again with \(kernelOfFeatures ?? "")"
    #expect(resumed.errors.contains(notice) == isKept, "\(resumed.errors)")
  }

  @Test func keysOfARunMadeByALaterVersionAreRefused() throws {
    let endpoint = Site.unusedEndpoint()
    let launch = site.launch(trainer: endpoint, ["--patience", "0"])
    #expect(try site.run(.encryptor, launch).code == 5)
    let state = site.text("run/state/run.json").replacing("\"version\" : 1", with: "\"version\" : 2")
    try #require(state.contains("\"version\" : 2"))
    try site.write(state, to: "run/state/run.json")
    let resumed = try site.run(.encryptor, launch + ["--resume"])
    #expect(resumed.code == 2 && resumed.errors.contains("version 2 of the rules"), "\(resumed.errors)")
  }

  /// What a program gets and gives is not disturbed by its second start.
  @Test func argumentsOutputAndExitCodesAreThoseOfOneStart() throws {
    let version = try site.end(try site.start(.encryptor, ["--version"], environment: environment))
    #expect(version.code == 0 && version.output == "0.1.0\n" && version.errors.isEmpty)
    let wrong = try site.end(
      try site.start(
        .trainer, ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store", "--threads", "0"],
        environment: environment))
    #expect(wrong.code == 2)
    #expect(wrong.errors.components(separatedBy: "--threads must be 1").count == 2, "\(wrong.errors)")
    let full = try site.start(.encryptor, ["plan", "job.yaml"], output: .fullDevice, environment: environment)
    #expect(try full.wait() == 8)
  }
}

/// The tests' programs are built without the trait MPI.
@Suite(.waiting)
struct MPILaunchTests {
  /// Each process would take the same jobs for itself; the launchers' own words for "several" are those of Open MPI, MPICH, PMIx and Slurm.
  @Test(arguments: [
    (["OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"], 2), (["PMI_SIZE": "4", "PMI_RANK": "1"], 4),
    (["PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "3"], 3), (["PMIX_RANK": "2"], 3), (["SLURM_STEP_NUM_TASKS": "2"], 2),
  ])
  func mpiStartedWithoutTheTrait(_ environment: [String: String], processes: Int) throws {
    let site = try Site()
    let trainer = try site.start(
      .trainer,
      ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store", "--bind", "tcp://127.0.0.1:0"],
      environment: environment)
    try site.end(trainer)
      .expectRefusal(2, saying: "started as \(processes) processes", "built without MPI", "make mpi", program: .trainer)
    #expect(!site.exists("store"), "nothing was touched")
  }

  @Test(arguments: [
    ["OMPI_COMM_WORLD_SIZE": "1"], ["SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"], ["PMI_SIZE": "no"],
  ])
  func oneProcessOfALauncherServes(_ environment: [String: String]) throws {
    let site = try Site()
    let trainer = try site.startTrainer(environment: environment)
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
  }
}
