from {{.Package}} import model, serve


def test_a_model_learns_topics(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("topic,text\nsport,the ball and the goal\nfood,bread and butter\n", encoding="utf-8")
    file = tmp_path / "words.json"
    model.save(model.train(table), file)
    answer = serve.predict([{"name": "text", "data": "who has the ball"}], serve.load(file))
    assert answer[0]["data"] == "sport"
