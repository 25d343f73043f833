# The pipeline of examples/digits by hand: sh stages.sh PYTHON TABLE FOLDER, in the folder of the example.
# It prints each stage with the nanoseconds that its process took.
set -eu
python=$1
export UNIP_PIPELINE_TABLE="$2"
for v in prepared forest svm model report; do
  mkdir "$3/$v"
done
export UNIP_PIPELINE_PREPARED="$3/prepared" UNIP_PIPELINE_FOREST="$3/forest" UNIP_PIPELINE_SVM="$3/svm"
export UNIP_PIPELINE_MODEL="$3/model" UNIP_PIPELINE_REPORT="$3/report"
stage() {
  name=$1 begin=$(date +%s%N)
  shift
  setsid --wait "$python" -m "$@" # in a session of its own, as unip dev has it: Linux shares processors among sessions
  echo "stage $name $(($(date +%s%N) - begin))"
}
stage prepare digits.prepare
stage fit-forest digits.fit forest &
forest=$!
stage fit-svm digits.fit svm
wait $forest
stage report digits.report
