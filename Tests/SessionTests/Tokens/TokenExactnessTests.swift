import Families
import Models
import JobSpec
import OwnerRole
import Numerics
import Protocol
import Testing
import TestSupport

/// Masked and plaintext fine-tuning of tiny transformers, in double.
///
/// 12 steps on a model of depth 2 and width 8 leave errors of about 1e-15 (what is printed on success is below 1e-13); 1e-10 is the
/// project's bar, and a wrong key rule gives 1e-2 and more.
@Suite(.waiting) struct TokenExactnessTests {
  static let jobs: [(name: String, job: TokenJob)] = [
    ("bert sgd", TokenJob()),
    (
      "bert sgd, nesterov, decay",
      TokenJob().changing { $0.optimizer = SmallJob.sgd(rate: 0.05, nesterov: true, decay: 0.01) }
    ),
    ("bert muon", TokenJob().changing { $0.optimizer = SmallJob.muon() }),
    (
      "bert adamw, permutation",
      TokenJob().changing {
        $0.optimizer = SmallJob.adamw()
        $0.strength = .permutation
      }
    ),
    ("bert lora", TokenJob().changing { $0.train = TokenJob.lora(["query", "value"]) }),
    (
      "bert lora on every linear layer",
      TokenJob().changing { $0.train = TokenJob.lora(["query", "key", "value", "dense"]) }
    ),
    ("bert head", TokenJob().changing { $0.train = .head }),
    ("bert with a drawn pooler", TokenJob().changing { $0.hasPooler = false }),
    ("bert head with a drawn pooler", TokenJob().changing { ($0.hasPooler, $0.train) = (false, .head) }),
    ("bert mean pooling", TokenJob().changing { $0.pool = .mean }),
    ("bert regression", TokenJob().changing { $0.task = .regression }),
    ("bert multilabel, gaps", TokenJob().changing { $0.task = .multilabel }),
    ("bert tags", TokenJob().changing { $0.task = .tokenClassification }),
    ("bert loss at the trainer", TokenJob().changing { $0.loss = .trainer }),
    ("bert input-only", TokenJob().changing { $0.strength = .inputOnly }),
    ("llama classification", TokenJob().changing { $0.family = .llama }),
    ("llama mean pooling", TokenJob().changing { ($0.family, $0.pool) = (.llama, .mean) }),
    ("llama muon", TokenJob().changing { ($0.family, $0.optimizer) = (.llama, SmallJob.muon()) }),
    (
      "llama language model",
      TokenJob().changing { ($0.family, $0.task, $0.loss) = (.llama, .causalLanguageModel, .trainer) }
    ),
    (
      "llama language model, loss at the owner",
      TokenJob().changing { ($0.family, $0.task) = (.llama, .causalLanguageModel) }
    ),
    ("llama tags", TokenJob().changing { ($0.family, $0.task) = (.llama, .tokenClassification) }),
    (
      "llama lora",
      TokenJob().changing { ($0.family, $0.train) = (.llama, TokenJob.lora(["q_proj", "v_proj", "up_proj"])) }
    ),
    (
      "llama adamw, permutation",
      TokenJob().changing {
        ($0.family, $0.strength, $0.optimizer) = (.llama, .permutation, SmallJob.adamw())
      }
    ),
    ("roberta sgd", TokenJob().changing { $0.family = .roberta }),
    (
      "roberta lora",
      TokenJob().changing { ($0.family, $0.train) = (.roberta, TokenJob.lora(["query", "value", "dense"])) }
    ),
    ("roberta adamw, permutation", permuted(.roberta)),
    ("roberta lora adamw, permutation", permuted(.roberta, TokenJob.lora(["query", "value"]))),
    (
      "roberta muon, last token",
      TokenJob().changing {
        ($0.family, $0.pool, $0.optimizer) = (.roberta, .last, SmallJob.muon())
      }
    ),
    ("roberta tags", TokenJob().changing { ($0.family, $0.task) = (.roberta, .tokenClassification) }),
    ("distilbert sgd", TokenJob().changing { $0.family = .distilbert }),
    (
      "distilbert lora",
      TokenJob().changing { ($0.family, $0.train) = (.distilbert, TokenJob.lora(["q_lin", "v_lin", "lin2"])) }
    ),
    ("distilbert adamw, permutation", permuted(.distilbert)),
    ("distilbert lora adamw, permutation", permuted(.distilbert, TokenJob.lora(["q_lin", "v_lin"]))),
    ("distilbert head", TokenJob().changing { ($0.family, $0.train) = (.distilbert, .head) }),
    ("electra sgd", TokenJob().changing { $0.family = .electra }),
    (
      "electra lora", TokenJob().changing { ($0.family, $0.train) = (.electra, TokenJob.lora(["query", "value"])) }
    ),
    ("electra adamw, permutation", permuted(.electra)),
    ("electra lora adamw, permutation", permuted(.electra, TokenJob.lora(["query", "value"]))),
    ("electra mean pooling", TokenJob().changing { ($0.family, $0.pool) = (.electra, .mean) }),
    // Both runs of a verification have the same noise.
    ("bert with noise", TokenJob().changing { $0.noise = 0.1 }),
    (
      "llama language model with noise",
      TokenJob().changing { ($0.family, $0.task, $0.noise) = (.llama, .causalLanguageModel, 0.1) }
    ),
    ("accumulation and recomputation", TokenJob().changing { ($0.accumulate, $0.recompute) = (2, true) }),
  ]

  private static func permuted(_ family: TinyFamily, _ train: TrainedPart = .all) -> TokenJob {
    TokenJob().changing {
      ($0.family, $0.train, $0.strength, $0.optimizer) = (family, train, .permutation, SmallJob.adamw())
    }
  }

  @Test func everyFamilyIsTrained() {
    #expect(TinyFamily.allCases.map(\.rawValue) == ModelFamilies.all.map { $0.name })
    #expect(Set(Self.jobs.map(\.job.family)) == Set(TinyFamily.allCases))
  }

  @Test(arguments: jobs.indices)
  func maskedEqualsPlaintext(_ index: Int) throws {
    let directory = try TemporaryDirectory()
    let job = try Self.jobs[index].job.resolved(on: try TokenData(in: directory))
    let prepared = try PreparedJob(job: job, secret: try OrderSecret(ephemeralWithSeed: 5))
    let difference = try Verification<Double>(prepared: prepared, compute: Compute(threads: 1))
      .largestRelativeDifference(steps: 12) { _, _ in }
    #expect(difference > 0 || job.masking.strength == .none, "\(Self.jobs[index].name): nothing was masked")
    #expect(difference <= 1e-10, "\(Self.jobs[index].name)")
  }
}
